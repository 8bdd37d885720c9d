"""The manifests and the chart: what comes out of them is right for Kubernetes, and for ktrans.

They are rendered by Helm and Kustomize, checked by Kubernetes' own schemas and by the rules of its
"restricted" pod security level, and the pipelines in them are validated.
"""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from ktrans.api import ExitCode
from ktrans.cli.root import cli
from ktrans.kit.units import parse_duration
from tests.command import ktrans

ROOT = Path(__file__).parents[2]
CHART = ROOT / "examples/helm/ktrans"
MANIFESTS = ROOT / "examples/kubernetes"
WAYS = sorted({path.parent.name for path in MANIFESTS.glob("*/kustomization.yaml")} - {"base"})
VALUES = sorted(path.name for path in (CHART / "ci").glob("*-values.yaml"))
KUBERNETES = "1.37"

MAY_PASS = {ExitCode.UNAVAILABLE, ExitCode.TRY_LATER}
"""What a scheduler should try again: 69 and 75."""


def render_chart(helm, *arguments):
    return subprocess.run(
        [helm, "template", "flows", CHART, "--kube-version", KUBERNETES, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(
    params=[*(f"kustomize:{way}" for way in WAYS), *(f"helm:{values}" for values in VALUES)]
)
def rendered(request, tmp_path):
    """A file with all manifests of one way to run ktrans."""
    tool, _, what = request.param.partition(":")
    if tool == "kustomize":
        command = [request.getfixturevalue("kustomize"), "build", MANIFESTS / what]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    else:
        ran = render_chart(request.getfixturevalue("helm"), "-f", CHART / "ci" / what)
    assert ran.returncode == 0, ran.stderr
    path = tmp_path / "manifests.yaml"
    path.write_text(ran.stdout)
    return path


@pytest.fixture
def manifests(rendered):
    return [found for found in yaml.safe_load_all(rendered.read_text()) if found]


def pod_spec(manifest):
    """The pod that a manifest leads to, if any."""
    spec = manifest.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    spec = spec.get("template", {}).get("spec", spec)
    return spec if "containers" in spec else None


def workloads(manifests):
    """Those that run ktrans, each with its pod; the chart's test is another pod."""
    found = [(one, pod_spec(one)) for one in manifests if one["kind"] in {"CronJob", "Deployment"}]
    assert found, "no workload"
    return found


@pytest.mark.service("kubernetes_validate")
def test_every_manifest_fits_the_schemas_of_kubernetes(rendered, kubernetes_validate):
    assert kubernetes_validate(rendered) == ""


def test_every_pod_is_one_that_a_restricted_namespace_takes(manifests):
    """Kubernetes documentation, "Pod Security Standards", level "restricted"."""
    pods = [pod for one in manifests if (pod := pod_spec(one))]
    assert pods
    for pod in pods:
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] != 0
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert pod["automountServiceAccountToken"] is False
        allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"])
        for container in pod["containers"]:
            confined = container["securityContext"]
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["readOnlyRootFilesystem"] is True
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]["limits"]) >= {"cpu", "memory"}
            assert all("hostPort" not in port for port in container.get("ports", []))


def test_images_are_pinned(manifests):
    for pod in filter(None, map(pod_spec, manifests)):
        for container in pod["containers"]:
            assert re.search(r"(:\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})$", container["image"])


def test_only_one_run_at_a_time_is_asked_for(manifests):
    for workload, _ in workloads(manifests):
        spec = workload["spec"]
        if workload["kind"] == "CronJob":
            assert spec["concurrencyPolicy"] == "Forbid"
        else:
            assert spec["replicas"] == 1
            assert spec["strategy"] == {"type": "Recreate"}


def test_each_exit_code_is_tried_again_or_not_as_it_deserves(manifests):
    for workload, pod in workloads(manifests):
        if workload["kind"] != "CronJob":
            continue
        job = workload["spec"]["jobTemplate"]["spec"]
        assert pod["restartPolicy"] == "Never", "podFailurePolicy needs it"
        assert job["backoffLimit"] > 0
        rules = job["podFailurePolicy"]["rules"]
        (final,) = [rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob"]
        hopeless = set(ExitCode) - MAY_PASS - {ExitCode.OK, ExitCode.INTERRUPTED}
        assert set(final) == {int(code) for code in hopeless}


def test_the_command_line_is_one_that_ktrans_takes(manifests):
    for pod in filter(None, map(pod_spec, manifests)):
        (container,) = pod["containers"]
        verb, *arguments = container["args"]
        assert arguments[-1].startswith("/etc/ktrans/")
        cli.get_command(None, verb).make_context(verb, arguments)


def test_probes_ask_what_ktrans_serves(manifests):
    for workload, pod in workloads(manifests):
        (container,) = pod["containers"]
        if workload["kind"] != "Deployment":
            assert "livenessProbe" not in container, "a run that ends needs none"
            continue
        (port,) = container["ports"]
        assert f"--http=0.0.0.0:{port['containerPort']}" in container["args"]
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
        assert container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}


def mounted_pipeline(manifests, pod, folder):
    """Lay the pod's pipeline, and the files beside it, into a folder; its secrets as well."""
    (container,) = pod["containers"]
    (name,) = [one["configMap"]["name"] for one in pod["volumes"] if one["name"] == "pipeline"]
    (data,) = [
        one["data"]
        for one in manifests
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name
    ]
    secrets = {
        one["mountPath"] for one in container["volumeMounts"] if "secrets" in one["mountPath"]
    }
    for file, text in data.items():
        for path in re.findall(r"\$\{file:([^}]+)\}", text):
            assert any(path.startswith(f"{secret}/") for secret in secrets), f"{path}: not mounted"
            (folder / Path(path).name).write_text("secret\n")
        (folder / file).write_text(re.sub(r"\$\{file:[^}]*/([^}/]+)\}", r"${file:\1}", text))
    return folder / Path(container["args"][-1]).name


def test_the_pipelines_inside_are_valid(manifests, tmp_path, monkeypatch):
    for _, pod in workloads(manifests):
        path = mounted_pipeline(manifests, pod, tmp_path)
        ran = ktrans("validate", path)
        assert ran.returncode == 0, ran.stderr


def test_what_a_pipeline_writes_lies_on_a_volume_that_it_may_write_to(
    manifests, tmp_path, monkeypatch
):
    for _, pod in workloads(manifests):
        (container,) = pod["containers"]
        writable = [
            one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")
        ]
        path = mounted_pipeline(manifests, pod, tmp_path)
        pipeline = yaml.safe_load(path.read_text())
        state, rejects = pipeline["state"], pipeline["rejects"]
        local = [state["path"]] if state.get("type", "sqlite") == "sqlite" else []
        local += [one["path"] for one in (rejects, *pipeline["sinks"]) if one["type"] == "file"]
        for place in local:
            assert any(place.startswith(f"{folder}/") for folder in writable), place
        grace = pipeline.get("engine", {}).get("grace_period", "25s")
        assert pod["terminationGracePeriodSeconds"] > parse_duration(grace)


@pytest.mark.service("helm")
@pytest.mark.parametrize("values", VALUES)
def test_the_chart_has_nothing_for_helms_linter(helm, values):
    command = [helm, "lint", "--strict", CHART, "-f", CHART / "ci" / values]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.service("helm")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "set the pipeline"),
        (["--set", "pipeline=x", "--set", "mode=daemonset"], "'cronjob', 'deployment'"),
        (["--set", "pipeline=x", "--set", "resources.limits.cpu=null"], "cpu"),
        (["--set", "pipeline=x", "--set", "cronjob.shedule=x"], "shedule"),
        (["--set", "pipeline=x", "--set", r"files.pipeline\.yaml=x"], "choose another one"),
    ],
    ids=["no-pipeline", "unknown-mode", "no-limit", "misspelt", "name-taken"],
)
def test_a_mistake_in_the_values_is_told(helm, arguments, told):
    ran = render_chart(helm, *arguments)
    assert ran.returncode != 0
    assert told in ran.stderr


@pytest.mark.service("helm")
def test_a_config_map_of_your_own_takes_the_place_of_the_charts(helm):
    ran = render_chart(helm, "--set", "existingConfigMap=mine")
    assert ran.returncode == 0, ran.stderr
    found = [one for one in yaml.safe_load_all(ran.stdout) if one]
    assert "ConfigMap" not in {one["kind"] for one in found}
    ((_, pod),) = workloads(found)
    assert {"name": "pipeline", "configMap": {"name": "mine"}} in pod["volumes"]


@pytest.mark.service("helm", "kubernetes_validate")
@pytest.mark.parametrize("mode", ["cronjob", "deployment"])
def test_names_that_look_like_numbers_stay_names(helm, kubernetes_validate, tmp_path, mode):
    names = ["existingConfigMap", "persistence.storageClass"]
    names += ["serviceAccount.name", "priorityClassName", "secrets[0].secretName"]
    names += ["networkPolicy.monitoringNamespace"]
    command = [helm, "template", "2026", CHART, "--kube-version", KUBERNETES]
    command += ["--set", f"mode={mode}", "--set", "secrets[0].mount=ktrans"]
    for name in names:
        command += ["--set-string", f"{name}=42"]
    path = tmp_path / "manifests.yaml"
    path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    assert kubernetes_validate(path) == ""


@pytest.mark.service("helm")
def test_files_arrive_in_the_cluster_as_they_are(helm, tmp_path):
    files = {"indented.csv": "  prefix,name\n10.0.0.0/8,x\n", "lines.csv": "a,b\r\nc\t,\n\nd"}
    values = {"pipeline": "  # a pipeline\nname: x\n", "files": {**files, "empty.csv": ""}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    ran = render_chart(helm, "-f", tmp_path / "values.yaml")
    assert ran.returncode == 0, ran.stderr
    found = {one["kind"]: one for one in yaml.safe_load_all(ran.stdout) if one}
    expected = {"pipeline.yaml": values["pipeline"], **values["files"]}
    assert found["ConfigMap"]["data"] == expected


@pytest.mark.service("helm")
@pytest.mark.parametrize("values", VALUES)
def test_the_charts_own_test_has_the_labels_that_give_a_pod_its_identity(helm, values):
    ran = render_chart(helm, "-f", CHART / "ci" / values)
    assert ran.returncode == 0, ran.stderr
    found = [one for one in yaml.safe_load_all(ran.stdout) if one]
    [test] = [one for one in found if one["kind"] == "Pod"]
    [(workload, _)] = workloads(found)
    spec = workload["spec"]
    template = spec.get("jobTemplate", {}).get("spec", spec)["template"]["metadata"]
    assert test["metadata"]["labels"] == template["labels"]
    assert test["metadata"]["annotations"].items() >= template.get("annotations", {}).items()
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_every_value_is_in_the_charts_schema_and_explained():
    import json

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    assert set(values) == set(schema) - {"global"}
    for name, value in values.items():
        known = schema[name].get("properties")
        if known and isinstance(value, dict) and schema[name].get("additionalProperties") is False:
            assert set(value) == set(known), name
