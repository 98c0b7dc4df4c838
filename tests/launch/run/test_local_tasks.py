"""A cluster of processes on this machine, without TensorFlow."""

import os
import signal
import threading
import time

import commands
import pytest

from launch.run.local_tasks import LocalCluster

SHOW = """
import json, os, sys
task = json.loads(os.environ["TF_CONFIG"])["task"]
print(task["type"], task["index"], os.environ.get("MARK"))
print("50%\\r100%\\r", file=sys.stderr)
"""
SLEEP = "import time; time.sleep(60)"


def test_every_process_gets_its_task_and_labels_its_lines(capfd):
    cluster = LocalCluster(
        ["-c", SHOW + "sys.exit(3 if task['type'] == 'chief' else 0)"],
        workers=2, ps=1, environment={"MARK": "x"},
    )  # fmt: skip
    with cluster:
        for name in ("worker 0", "worker 1", "parameter server 0"):
            cluster.tasks[name].process.wait()
        assert cluster.wait() == 3
    printed = capfd.readouterr()
    assert sorted(printed.out.splitlines()) == [
        "[chief] chief 0 x",
        "[parameter server 0] ps 0 x",
        "[worker 0] worker 0 x",
        "[worker 1] worker 1 x",
    ]
    assert "[worker 1] 50%\n[worker 1] 100%\n" in printed.err
    assert len({a for all_ in cluster.addresses.values() for a in all_}) == 4


def test_without_servers_worker_0_leads(capfd):
    code = SHOW + "sys.exit(5 - task['index'])"
    with LocalCluster(["-c", code], workers=2, ps=0) as cluster:
        cluster.tasks["worker 1"].process.wait()
        assert cluster.wait() == 5
    assert set(cluster.addresses) == {"worker"}
    assert "chief" not in capfd.readouterr().out


def test_all_processes_end_with_the_chief():
    chief_only = "import json, os\nif 'chief' not in os.environ['TF_CONFIG'][-40:]:\n    "
    with LocalCluster(["-c", chief_only + SLEEP], workers=1, ps=1) as cluster:
        assert cluster.wait() == 0
        others = [t.process for name, t in cluster.tasks.items() if name != "chief"]
        assert [process.poll() for process in others] == [None] * 2
    assert [process.returncode for process in others] == [-signal.SIGTERM] * 2


def test_the_evaluator_may_finish_its_last_scores(capfd):
    code = """
import json, os, time
if "evaluator" in os.environ["TF_CONFIG"]:
    time.sleep(0.5)
    print("scored")
elif '"chief", "index"' not in os.environ["TF_CONFIG"]:
    time.sleep(60)
"""
    with LocalCluster(["-c", code], workers=1, ps=1, evaluator=True) as cluster:
        assert cluster.wait() == 0
        assert cluster.tasks["evaluator"].process.returncode == 0
    assert "[evaluator] scored" in capfd.readouterr().out


def test_a_signal_goes_to_the_chief(capfd):
    with LocalCluster(["-c", SLEEP], workers=1, ps=1) as cluster:
        os.kill(cluster.tasks["worker 0"].process.pid, signal.SIGKILL)
        threading.Timer(0.5, cluster.send, [signal.SIGTERM]).start()
        assert cluster.wait() == 128 + signal.SIGTERM
    assert "[cluster] worker 0 ended with exit code -9" in capfd.readouterr().err


@pytest.mark.slow
def test_processes_end_if_the_launcher_is_killed(tmp_path):
    code = f"""
import os, sys
sys.path.insert(0, {os.getcwd()!r})
from launch.run.local_tasks import LocalCluster
with LocalCluster(["-c", {SLEEP!r}], workers=2, ps=0) as cluster:
    print(*(task.process.pid for task in cluster.tasks.values()), flush=True)
    os.kill(os.getpid(), 9)
"""
    done = commands.run("-c", code)
    assert done.returncode == -9
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    end = time.monotonic() + 20
    while any(_is_running(pid) for pid in pids):
        assert time.monotonic() < end, "a process of the cluster still runs"
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=2"], "name a command after --"),
        (["--", "launch.trian"], "no module 'launch.trian'"),
        (["--", "absent.py"], "no script 'absent.py'"),
        (["--evaluator", "--", "launch.train"], "--evaluator needs parameter servers"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message):
    done = commands.run("-m", "launch.local_cluster", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert done.stderr.count("\n") == 1
