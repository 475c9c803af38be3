"""What a run says it was made of."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from transecg_core.config import parse
from transecg_core.report.manifest import CODE, code_hash, hash_code, manifest

ROOT = Path(__file__).resolve().parents[3]


def test_the_code_hash_depends_on_the_code_alone(tmp_path) -> None:
    for package in CODE:
        shutil.copytree(ROOT / package, tmp_path / package)
    whole = hash_code(tmp_path)
    assert len(whole) == 64
    (tmp_path / "server" / "notes.md").write_text("not code")
    (tmp_path / "unrelated.py").write_text("x = 1")
    assert hash_code(tmp_path) == whole
    path = tmp_path / "server" / "__init__.py"
    text = path.read_text()
    path.write_text(text + "\n# changed\n")
    assert hash_code(tmp_path) != whole
    path.write_text(text)
    assert hash_code(tmp_path) == whole
    path.rename(tmp_path / "server" / "renamed.py")
    assert hash_code(tmp_path) != whole


def test_manifest_is_json_and_holds_every_option() -> None:
    cfg = parse({"seed": 7, "privacy": "participant"})
    out = manifest(cfg, "ray", "flwr run .", {"b": "2", "a": "1"})
    assert json.loads(json.dumps(out, allow_nan=False)) == out
    assert out["config"]["seed"] == 7
    assert out["config"]["local-steps"] == "auto"
    assert out["seeds"] == {"run": 7}
    assert list(out["data_hashes"]) == ["a", "b"]
    assert out["code_hash"] == code_hash()
    assert out["versions"]["torch"][0].isdigit()


def test_the_manifest_does_not_load_the_drawing_library() -> None:
    code = "import sys, transecg_core.report.manifest; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
