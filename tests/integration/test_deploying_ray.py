"""The examples for Ray: cluster files and manifests fit the schemas, and their pipelines are valid."""

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from ktrans import __version__
from ktrans.cli.root import cli
from tests.command import ktrans

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/ray"


def strict(schema):
    """Make a schema of Kubernetes one of JSON that refuses what Kubernetes would drop in silence."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    keeps = schema.get("x-kubernetes-preserve-unknown-fields", False)
    if "properties" in schema and "additionalProperties" not in schema and not keeps:
        found["additionalProperties"] = False
    return found


def mistakes(value, schema):
    """Return where a value does not fit a schema."""
    checked = jsonschema.Draft202012Validator(schema)
    return [f"{error.json_path}: {error.message}" for error in checked.iter_errors(value)]


@pytest.fixture(scope="module")
def manifests(kustomize):
    command = [kustomize, "build", EXAMPLES / "kuberay"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return {one["kind"]: one for one in yaml.safe_load_all(ran.stdout)}


@pytest.fixture(scope="module")
def ray_job_schema(kuberay):
    text = (kuberay / "ray.io_rayjobs.yaml").read_text()
    [version] = [
        version
        for version in yaml.load(text, Loader=yaml.CSafeLoader)["spec"]["versions"]
        if version["name"] == "v1"
    ]
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


@pytest.fixture(scope="module")
def cluster():
    return yaml.safe_load((EXAMPLES / "cluster.yaml").read_text())


def pods(job):
    """The pods of a RayJob by their role."""
    spec = job["spec"]["rayClusterSpec"]
    [group] = spec["workerGroupSpecs"]
    return {
        "submitter": job["spec"]["submitterPodTemplate"],
        "head": spec["headGroupSpec"]["template"],
        "worker": group["template"],
    }


def pipelines():
    inside = yaml.safe_load((EXAMPLES / "kuberay/pipeline.yaml").read_text())
    return {"file": (EXAMPLES / "flows.yaml").read_text(), "map": inside["data"]["flows.yaml"]}


def test_the_cluster_file_fits_the_schema_of_ray(cluster):
    folder = Path(importlib.util.find_spec("ray").origin).parent
    schema = json.loads((folder / "autoscaler/ray-schema.json").read_text())
    assert mistakes(cluster, schema) == []
    assert mistakes({**cluster, "idle_timeout": 5}, schema) != []
    assert set(cluster["available_node_types"]) == {cluster["head_node_type"], "tasks"}
    for source in cluster["file_mounts"].values():
        assert source.startswith("~") or (ROOT / source).exists()


@pytest.mark.service("kuberay")
def test_the_job_fits_the_schema_of_kuberay(manifests, ray_job_schema):
    job = manifests["RayJob"]
    assert mistakes(job, ray_job_schema) == []
    misspelt = {**job, "spec": {**job["spec"], "shutdownAfterJobFinished": True}}
    assert mistakes(misspelt, ray_job_schema) != []


@pytest.mark.service("kubernetes_validate")
def test_the_other_manifests_and_the_pods_fit_the_schemas_of_kubernetes(
    manifests, kubernetes_validate, tmp_path
):
    as_pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod["spec"]}
        for name, pod in pods(manifests["RayJob"]).items()
    ]
    others = [one for kind, one in manifests.items() if kind != "RayJob"]
    path = tmp_path / "manifests.yaml"
    path.write_text(yaml.safe_dump_all([*as_pods, *others]))
    assert kubernetes_validate(path) == ""


def test_every_pod_is_one_that_a_restricted_namespace_takes(manifests):
    """Kubernetes documentation, "Pod Security Standards", level "restricted"."""
    for role, pod in pods(manifests["RayJob"]).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] != 0
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert spec["automountServiceAccountToken"] is (role == "head"), "for the autoscaler"
        [container] = spec["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["limits"]) >= {"cpu", "memory"}
        assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "ray"


def test_all_machines_have_one_image_with_one_version_of_ray(manifests, cluster):
    images = {
        pod["spec"]["containers"][0]["image"] for pod in pods(manifests["RayJob"]).values()
    } | {cluster["docker"]["image"]}
    assert images == {f"registry.example.com/ktrans-ray:{__version__}"}
    base = re.search(
        r"^FROM rayproject/ray:([\d.]+)-py(\d)(\d+)-cpu$",
        (EXAMPLES / "Dockerfile").read_text(),
        re.MULTILINE,
    )
    assert base[1] == manifests["RayJob"]["spec"]["rayClusterSpec"]["rayVersion"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {base[2]}.{base[3]}" in project["classifiers"]


def test_the_head_gets_no_tasks(manifests, cluster):
    head = manifests["RayJob"]["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert cluster["available_node_types"]["head"]["resources"]["CPU"] == 0


def test_only_who_has_the_token_may_use_a_cluster(manifests, cluster):
    assert manifests["RayJob"]["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert "--env RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]


def test_the_entrypoint_is_a_command_line_that_ktrans_takes(manifests):
    program, verb, *arguments = manifests["RayJob"]["spec"]["entrypoint"].split()
    assert program == "ktrans"
    assert arguments[-1] == "/etc/ktrans/flows.yaml"
    cli.get_command(None, verb).make_context(verb, arguments)


def test_the_pipelines_are_valid_and_alike(tmp_path):
    found = pipelines()
    loaded = [yaml.safe_load(text) for text in found.values()]
    assert loaded[0] == loaded[1]
    assert loaded[0]["engine"]["executor"]["type"] == "ray"
    path = tmp_path / "flows.yaml"
    path.write_text(found["file"])
    ran = ktrans("validate", path)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.service("hadolint")
def test_hadolint_has_nothing_to_say(hadolint):
    command = [hadolint, "--no-color", EXAMPLES / "Dockerfile"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")
