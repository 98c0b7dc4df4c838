"""Every optimizer against the trajectories of the authors' own codes on a small CTR model."""

import base
import golden
import numpy as np
import pytest
import tensorflow as tf

from tf_helen.core.rows import RowBlock, as_block

KINDS = ("Adam", "AdamW", "Adagrad", "RAdam", "NAdam", "dsam", "ssam", "sasam", "helen")


def base_optimizer(kind, args):
    """The optimizer that the run applies to its last gradients; dense, as the released codes."""
    common = {"learning_rate": args["lr"], "moments": "dense"}
    decay = args.get("weight_decay", 0.0)
    if kind == "Adagrad":
        start = args.get("initial_accumulator_value", 0.0)
        return base.optimizers.Adagrad(
            initial_accumulator_value=start, coupled_weight_decay=decay, **common
        )
    common["epsilon"] = args.get("eps", 1e-8)
    if kind == "AdamW":
        # PyTorch's default decay is 0.01
        return base.optimizers.AdamW(weight_decay=args.get("weight_decay", 0.01), **common)
    if kind in ("RAdam", "NAdam"):
        cls = base.optimizers.RAdam if kind == "RAdam" else base.optimizers.Nadam
        return cls(**common)
    cls = base.optimizers.AMSGrad if args.get("amsgrad") else base.optimizers.Adam
    return cls(coupled_weight_decay=decay, **common)


def build_optimizer(kind, args):
    last = base_optimizer(kind, args)
    if kind in ("dsam", "ssam"):
        return base.optimizers.SAM(
            rho=args["rho"], base_optimizer=last, adaptive=args.get("adaptive", False)
        )
    if kind == "sasam":
        return base.optimizers.ASAM(rho=args["rho"], eta=args["eta"], base_optimizer=last)
    if kind == "helen":
        norms = {"HelenGlobal": "global", "HelenNetOnly": "dense", None: "last_table"}
        return base.optimizers.Helen(
            rho=args["rho"],
            lower_bound=args["bound"],
            base_optimizer=last,
            norm="table",
            dense_norm=norms[args.get("cls")],
            perturb_dense=args["net_pert"],
            adaptive=args.get("adaptive", False),
        )
    return last


def variables_at(run, step, dtype):
    return [
        base.variable(run[f"w_{name}"][step].astype(dtype), dtype=dtype, name=name)
        for name in golden.NAMES
    ]


def difference(variables, run, step):
    return max(
        np.abs(v.numpy() - run[f"w_{name}"][step]).max()
        for v, name in zip(variables, golden.NAMES, strict=True)
    )


def assert_close(variables, run, step, atol, rtol, label):
    for v, name in zip(variables, golden.NAMES, strict=True):
        np.testing.assert_allclose(
            v.numpy(), run[f"w_{name}"][step], atol=atol, rtol=rtol, err_msg=f"{label} {name}"
        )


RUNS = golden.ctr_runs(*KINDS)


@pytest.mark.parametrize("name,entry", RUNS, ids=[name for name, _ in RUNS])
def test_recorded_gradients_give_the_recorded_weights(name, entry, precision):
    if precision == "float64" and not golden.has_float64(name):
        pytest.skip("no float64 file in the repository's sample")
    run = golden.load(f"ctr/f{precision[-2:]}/{name}.npz")
    last_pass = "g2" if "g2_W1" in run else "g1"
    optimizer = base_optimizer(entry["kind"], entry["args"])
    variables = variables_at(run, 0, precision)
    for step in range(20):
        gradients = []
        for table in golden.NAMES:
            # the released Helen takes the dense gradient of pass 1 when it is not perturbed
            unperturbed = not entry["args"].get("net_pert", True) and table not in golden.TABLES
            key = "g1" if unperturbed else last_pass
            gradients.append(tf.constant(run[f"{key}_{table}"][step], precision))
        base.apply(optimizer, gradients, variables)
        # PyTorch's NAdam keeps a product in float32
        float64 = 1e-8 if entry["kind"] == "NAdam" else 1e-9
        tolerance = (5e-6, 1e-5) if precision == "float32" else (float64, 0)
        assert_close(variables, run, step + 1, *tolerance, f"{name} step {step + 1}")


TWO_PASS = golden.ctr_runs("dsam", "ssam", "sasam", "helen")


def recorded_blocks(run, step, precision, counted):
    ids = golden.load("ctr/problem.npz")["ids"][step]
    blocks = []
    for position, name in enumerate(golden.NAMES):
        gradient = run[f"g1_{name}"][step].astype(precision)
        if name not in golden.TABLES or not counted:
            blocks.append(RowBlock(tf.constant(gradient)))
        else:
            # all rows: with L2 in the loss those absent from the batch have a gradient too
            counts = np.bincount(ids[:, position], minlength=len(gradient))
            rows = tf.range(len(gradient))
            blocks.append(RowBlock(tf.constant(gradient), rows, tf.constant(counts, tf.int32)))
    return blocks


def largest_perturbation_error(optimizer, run, precision, counted):
    worst = 0.0
    for step in range(20):
        variables = variables_at(run, step, precision)
        blocks = recorded_blocks(run, step, precision, counted)
        inner, adapted = base.inside(optimizer, variables)
        epsilons = inner.perturbations(blocks, adapted)
        for variable, epsilon, name in zip(variables, epsilons, golden.NAMES, strict=True):
            moved = variable.numpy() + (0 if epsilon is None else epsilon.numpy())
            worst = max(worst, np.abs(moved - run[f"pert_{name}"][step]).max())
    return worst


@pytest.mark.parametrize("name,entry", TWO_PASS, ids=[name for name, _ in TWO_PASS])
def test_perturbed_weights(name, entry, precision):
    if precision == "float64" and not golden.has_float64(name):
        pytest.skip("no float64 file in the repository's sample")
    run = golden.load(f"ctr/f{precision[-2:]}/{name}.npz")
    optimizer = build_optimizer(entry["kind"], entry["args"])
    error = largest_perturbation_error(optimizer, run, precision, entry["kind"] == "helen")
    assert error <= (1e-6 if precision == "float32" else 1e-10)


def network(variables, ids):
    e0, e1, e2, w1, b1, w2, b2 = map(base.tensor, variables)
    x = tf.concat([tf.gather(t, ids[:, i]) for i, t in enumerate((e0, e1, e2))], axis=1)
    return (tf.nn.relu(x @ w1 + b1) @ w2 + b2)[:, 0]


def train_by_itself(optimizer, run):
    """20 steps from the initial weights with our own gradients; the first losses of each step."""
    problem = golden.load("ctr/problem.npz")
    variables = variables_at(run, 0, "float32")
    losses = []
    for ids, labels in zip(problem["ids"], problem["y"], strict=True):

        def closure(ids=ids, labels=labels):
            logits = network(variables, ids)
            return tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(tf.constant(labels), logits)
            )

        losses.append(float(optimizer.minimize(closure, variables)))
    return variables, losses


CLOSED = [(n, e) for n, e in RUNS if "reg" not in e["args"]]


@pytest.mark.parametrize("name,entry", CLOSED, ids=[name for name, _ in CLOSED])
def test_training_by_itself_gives_the_recorded_weights(name, entry):
    run = golden.load(f"ctr/f32/{name}.npz")
    variables, losses = train_by_itself(build_optimizer(entry["kind"], entry["args"]), run)
    assert difference(variables, run, 20) <= 2e-5, entry["min_abs_preactivation"]
    np.testing.assert_allclose(losses, run["loss1"], atol=1e-5)


LAZY = [(n, e) for n, e in golden.ctr_runs("sparseadam") if e["args"].get("eps") == 1e-16]


@pytest.mark.parametrize("name,entry", LAZY, ids=[name for name, _ in LAZY])
def test_lazy_adam_equals_torch_sparse_adam(name, entry):
    run, ids = golden.load(f"ctr/f32/{name}.npz"), golden.load("ctr/problem.npz")["ids"]
    optimizer = base.optimizers.Adam(entry["args"]["lr"], epsilon=1e-16)
    variables = variables_at(run, 0, "float32")
    for step in range(20):
        gradients = [tf.constant(run[f"g1_{name}"][step]) for name in golden.NAMES]
        for field in range(3):
            gradients[field] = golden.split_slices(gradients[field].numpy(), ids[step][:, field])
        base.apply(optimizer, gradients, variables)
        assert_close(variables, run, step + 1, 5e-6, 1e-5, f"step {step + 1}")


def test_split_duplicates_are_counted_as_the_batch():
    run, ids = golden.load("ctr/f32/adam_lr0.01.npz"), golden.load("ctr/problem.npz")["ids"]
    block = as_block(golden.split_slices(run["g1_emb1"][3], ids[3][:, 1]))
    expected = dict(zip(*np.unique(ids[3][:, 1], return_counts=True), strict=True))
    assert dict(zip(block.ids.numpy(), block.counts.numpy(), strict=True)) == expected
    np.testing.assert_allclose(block.values, run["g1_emb1"][3][block.ids.numpy()], rtol=1e-6)


CONTROLS = [
    ("helen_lr0.01_bound0.3", {"cls": "HelenGlobal"}),
    ("helen_lr0.01_bound0.3", {"bound": 0.0}),
    ("helen_lr0.01_bound0.3", {"bound": 0.5}),
    ("sam_lr0.01_rho0.05", {"adaptive": True}),
]


@pytest.mark.parametrize("name,changed", CONTROLS, ids=[f"{n}-{c}" for n, c in CONTROLS])
def test_another_reading_does_not_match(name, changed):
    entry = dict(golden.ctr_runs(*KINDS))[name]
    optimizer = build_optimizer(entry["kind"], {**entry["args"], **changed})
    run = golden.load(f"ctr/f32/{name}.npz")
    error = largest_perturbation_error(optimizer, run, "float32", entry["kind"] == "helen")
    assert error > 1e-4


def test_lazy_moments_do_not_match_the_dense_run():
    entry = dict(golden.ctr_runs("Adam"))["adam_lr0.01"]
    run = golden.load("ctr/f32/adam_lr0.01.npz")
    variables, _ = train_by_itself(base.optimizers.Adam(entry["args"]["lr"]), run)
    assert difference(variables, run, 20) > 1e-3


def test_the_other_place_of_epsilon_does_not_match():
    run = golden.load("ctr/f32/adam_lr0.01.npz")
    worst = {}
    for epsilon_hat in (False, True):
        optimizer = base.optimizers.Adam(0.01, moments="dense", epsilon_hat=epsilon_hat)
        variables = variables_at(run, 0, "float32")
        for step in range(20):
            gradients = [tf.constant(run[f"g1_{name}"][step]) for name in golden.NAMES]
            base.apply(optimizer, gradients, variables)
        worst[epsilon_hat] = difference(variables, run, 20)
    assert worst[False] <= 5e-6 < 5e-5 < worst[True]
