"""`ktrans doctor`: names what is wrong, and never a secret."""

import json

from click.testing import CliRunner

from ktrans.cli.root import cli
from ktrans.tools import doctor


def ran(*args, **environment):
    result = CliRunner(env=environment).invoke(
        cli, ["doctor", *map(str, args)], standalone_mode=False
    )
    assert result.exception is None, result.output
    return result.return_value, result.stdout


def findings(*args, **environment):
    code, text = ran("--json", *args, **environment)
    result = json.loads(text)
    assert bool(result["failed"]) == bool(code)
    return {f["subject"]: f for f in result["findings"]}


def test_a_machine_that_can_run_pipelines_passes():
    code, text = ran()
    assert code == 0, text
    assert "no problems found" in text
    assert {"python", "pyarrow", "clock", "cores", "open files"} <= set(findings())


def test_credentials_are_found_by_name_and_never_shown():
    found = findings(AWS_ACCESS_KEY_ID="AKIAEXAMPLE", AWS_PROFILE="prod-admin")
    assert "AWS_ACCESS_KEY_ID" in found["credentials for AWS"]["message"]
    assert "AKIAEXAMPLE" not in json.dumps(found)
    assert "prod-admin" not in json.dumps(found)


def test_a_user_without_a_home_folder_is_no_defect(monkeypatch):
    """As in a container that runs as any user."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert findings(HOME=None)["python"]["verdict"] == "ok"


def test_a_pipeline_is_examined_with_all_that_it_reaches(tmp_path):
    config = tmp_path / "p.yaml"
    config.write_text(
        "source: {type: file, paths: [absent.log]}\nsinks: [{type: file, path: out/}]\n"
    )
    found = findings(config)
    assert found[f"{config}: file"]["verdict"] == "ok"
    assert found[f"{config}: source"]["verdict"] == "failed"
    assert "absent.log" in found[f"{config}: source"]["message"]
    assert found[f"{config}: state"]["verdict"] == "ok"


def test_a_wrong_file_is_reported_with_its_place(tmp_path):
    config = tmp_path / "p.yaml"
    config.write_text("source: {type: flie}\nsinks: [{type: file, path: out/}]\n")
    found = findings(config)
    assert "p.yaml:1:16" in found[str(config)]["message"]


def test_a_plugin_that_does_not_load_is_a_failure(tmp_path):
    (tmp_path / "bad.py").write_text("import no_such_sdk\n")
    found = findings(KTRANS_PLUGINS_DIR=str(tmp_path))
    assert "no_such_sdk" in found["plugin bad.py"]["message"]


def test_a_wrong_clock_is_reported():
    assert doctor._clock(86_400.0).verdict == "failed"


def test_pipelines_are_examined_under_the_profile_that_is_chosen(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "source: {type: generate, rows: 5}\nsinks: [{type: blackhole}]\n"
        "profiles: {dev: {source: {rowz: 5}}}\n"
    )
    assert ran(path)[0] == 0
    code, text = ran(path, "--profile", "dev")
    assert code == 1
    assert "rowz" in text
