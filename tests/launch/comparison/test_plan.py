"""Plans in YAML files, and their errors before training."""

import pytest

from launch.comparison.grid import parse_contenders, parse_grid
from launch.comparison.plan import Plan, load_plan
from launch.run.config import RunConfig

KNOWN = ["data", "seeds", "models", "optimizers", "grid", "model_args", "budget"]
FILE = """
data: data/clicks
models: [dnn, deepfm]
seeds: 5
model_args: {hidden_units: [64, 32]}
grid:
  embedding_l2: [0, 1e-5, 1.0e-4]
optimizers:
  adam: {learning_rate: [1e-3, 3e-3]}
  Helen: {optimizer: helen, rho: [0.01, 0.05], base_optimizer: adamar}
  helen:
"""


def write(folder, text):
    path = folder / "plan.yaml"
    path.write_text(text)
    return str(path)


def test_a_file_says_what_flags_say(tmp_path):
    found = load_plan(write(tmp_path, FILE), KNOWN)
    assert found["data"] == "data/clicks" and found["seeds"] == 5
    assert found["models"] == ["dnn", "deepfm"]
    assert found["model_args"] == {"hidden_units": (64, 32)}
    assert found["grid"] == parse_grid("embedding_l2=[0,1e-5,1e-4]")
    flags = "adam=adam:learning_rate=[1e-3,3e-3];Helen=helen:rho=[0.01,0.05],base_optimizer=adamar"
    assert found["optimizers"] == parse_contenders(f"{flags};helen=helen")


def test_texts_in_a_file_are_those_of_flags(tmp_path):
    text = "optimizers: adam;helen:rho=[0.1,0.2]\ngrid: embedding_l2=[0,1]\nmodels: dnn, deepfm\n"
    found = load_plan(write(tmp_path, text), KNOWN)
    assert found["optimizers"] == parse_contenders("adam;helen:rho=[0.1,0.2]")
    assert found["grid"] == {"embedding_l2": (0, 1)}
    assert found["models"] == ["dnn", "deepfm"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sedes: 3", "unknown key 'sedes'.*'seeds'"),
        ("seeds: 3\nseeds: 4", "'seeds' is given twice"),
        ("optimizers: {adam: {epsilon: 1e-7, epsilon: 1e-8}}", "'epsilon' is given twice"),
        ("[1, 2]", "is not a mapping"),
        ("seeds: [", "not valid YAML"),
        ("optimizers: [adam]", "from label to arguments"),
        ("grid: 3", "from argument to values"),
        ("grid: {embedding_l2: []}", "no values"),
        ("optimizers: {helen: {rho: [0.1, -1]}}", "rho"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        load_plan(write(tmp_path, text), KNOWN)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": ("dnn", "dnn")}, "twice"),
        ({"models": ("dnnn",)}, "'dnn'"),
        ({"grid": {"embeding_l2": (0, 1)}}, "embedding_l2"),
        ({"grid": {"optimizer": (0, 1)}}, "no argument 'optimizer'"),
        ({"baseline": "adamm"}, "'adam'"),
        ({"select": "gauc"}, "select"),
        ({"budget": 0}, "budget"),
        ({"time_budget": 0}, "time_budget"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"tuning_seeds": 0}, "tuning_seeds"),
        ({"cache_rows": -1}, "cache_rows"),
    ],
)
def test_bad_plans_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        Plan(RunConfig("data", "out"), parse_contenders("adam;helen"), **changes)


def test_a_point_becomes_the_settings_of_a_run():
    common = RunConfig("data", "out", model_args={"hidden_units": (8,)})
    grid = parse_grid("embedding_l2=[0,1e-5],batch_size=[64,128]")
    plan = Plan(common, parse_contenders("helen:rho=[0.1,0.2]"), ("dnn", "deepfm"), grid)
    (helen,) = plan.contenders
    point = plan.points(helen)[-1]
    config = plan.config("dnn", helen, point, seed=3)
    assert config.model == "dnn" and config.seed == 3 and config.batch_size == 128
    assert config.model_args == {"hidden_units": (8,), "embedding_l2": 1e-5}
    assert config.optimizer == "helen" and config.optimizer_args == {"rho": 0.2}


def test_a_sweep_over_callbacks_with_arguments(tmp_path):
    text = (
        'optimizers:\n  adam: {callbacks: [["magnitude_pruning(sparsity=0.5)", sparsity], meda]}\n'
    )
    (adam,) = load_plan(write(tmp_path, text), KNOWN)["optimizers"]
    assert adam.grid["callbacks"] == (("magnitude_pruning(sparsity=0.5)", "sparsity"), "meda")
    plan = Plan(RunConfig("data", "out"), [adam], sweep=["callbacks"])
    pruned, reset = (plan.config("dnn", each, plan.points(each)[0], 0) for each in plan.contenders)
    assert pruned.callbacks == ("magnitude_pruning(sparsity=0.5)", "sparsity")
    assert reset.callbacks == ("meda",)
