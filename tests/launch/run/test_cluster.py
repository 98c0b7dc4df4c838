"""TF_CONFIG: what it says, what is wrong with it, and who can be reached."""

import json
import socket

import pytest

from launch.run.cluster import (
    Cluster,
    check_port,
    is_reachable,
    read_cluster,
    wait_for_tasks,
)

SERVERS = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1", "e:1"]}


def config(cluster=SERVERS, kind="worker", index=1) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def changed(**parts) -> dict:
    return {kind: all_ for kind, all_ in (SERVERS | parts).items() if all_ is not None}


@pytest.mark.parametrize(
    ("kind", "index", "name", "address"),
    [
        ("chief", 0, "chief", "a:1"),
        ("worker", 1, "worker 1", "c:1"),
        ("ps", 0, "parameter server 0", "d:1"),
        ("evaluator", 0, "evaluator", None),
    ],
)
def test_a_task_knows_its_name_and_address(kind, index, name, address):
    cluster = read_cluster("parameter_server", config(kind=kind, index=index))
    assert (cluster.name, cluster.address) == (name, address)
    assert (cluster.count("worker"), cluster.count("ps"), cluster.count("evaluator")) == (2, 2, 0)
    assert cluster.tasks("worker", "ps")[3] == ("parameter server 1", "e:1")
    assert cluster.spec().as_dict() == SERVERS


def test_the_environment_is_read(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config({"worker": ["a:1", "b:1"]}, index=0))
    assert read_cluster("multi_worker").name == "worker 0"
    monkeypatch.delenv("TF_CONFIG")
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG"):
        read_cluster("multi_worker")


def test_an_evaluator_in_the_cluster_is_not_part_of_it():
    given = config(changed(evaluator=["f:1"]), "evaluator", 0)
    assert read_cluster("parameter_server", given).spec().as_dict() == SERVERS


@pytest.mark.parametrize(
    ("given", "strategy", "message"),
    [
        ("{'cluster'", "parameter_server", "TF_CONFIG is not JSON"),
        ("3", "parameter_server", "needs an object 'cluster'; it is missing"),
        ('{"task": {"type": "ps"}}', "parameter_server", "needs an object 'cluster'"),
        (json.dumps({"cluster": SERVERS}), "parameter_server", "needs an object 'task'"),
        (config(changed(wroker=["f:1"])), "parameter_server", "Did you mean 'worker'"),
        (config(kind="sp"), "parameter_server", "must be one of .*Received: .*'sp'"),
        (config(changed(ps="d:1")), "parameter_server", "must be a list of addresses"),
        (config(changed(ps=["d"])), "parameter_server", "the address 'd' of a ps"),
        (config(changed(ps=["d:99999"])), "parameter_server", "port from 1 to 65535"),
        (config(changed(ps=["b:1"])), "parameter_server", "worker 0 and parameter server 0 the"),
        (config(index=2), "parameter_server", "worker 2 .* names 2 .* from 0 to 1"),
        (config(index="1"), "parameter_server", "must be an integer. Received: '1'"),
        (config(changed(chief=None)), "parameter_server", "names no chief"),
        (config(changed(ps=[])), "parameter_server", "names no ps"),
        (config(changed(worker=None), "ps", 0), "parameter_server", "names no worker"),
        (config(changed(chief=["a:1", "f:1"])), "parameter_server", "must name one chief"),
        (config(), "multi_worker", "names a ps, which strategy=multi_worker does not use"),
        (config({"worker": ["a:1"]}, "chief", 0), "multi_worker", "add a chief"),
        (config({"worker": ["a:1"]}, "evaluator", 0), "multi_worker", "has no evaluator"),
        (config({"evaluator": ["a:1"]}, "worker", 0), "multi_worker", "names no worker"),
    ],
)
def test_a_wrong_config_is_refused(given, strategy, message):
    with pytest.raises(ValueError, match=message):
        read_cluster(strategy, given)


def test_a_port_in_use_is_refused():
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen()
        port = server.getsockname()[1]
        cluster = Cluster({"worker": (f"localhost:{port}",)}, "worker")
        with pytest.raises(ValueError, match=f"port {port} of worker 0 is in use"):
            check_port(cluster)
        assert is_reachable(cluster.address)
        wait_for_tasks(cluster.tasks("worker"), 5)
    check_port(cluster)
    assert not is_reachable(cluster.address)
    with pytest.raises(ValueError, match=rf"^worker 0 \(localhost:{port}\) did not start"):
        wait_for_tasks(cluster.tasks("worker"), 0)


def test_a_task_that_never_comes_is_named():
    with pytest.raises(ValueError, match=r"worker 0 \(localhost:1\) did not start within 0.1 s"):
        wait_for_tasks([("worker 0", "localhost:1")], 0.1)


def test_an_evaluator_needs_no_port():
    check_port(read_cluster("parameter_server", config(kind="evaluator", index=0)))
