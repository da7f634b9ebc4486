"""Setup without a network: what it refuses, and that a second run does nothing."""

import hashlib
import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import lock  # noqa: E402
import venv_lock  # noqa: E402


class SetupCase(unittest.TestCase):
    def setUp(self) -> None:
        self.local = Path(tempfile.mkdtemp(prefix="sightline-setup-"))
        self.addCleanup(shutil.rmtree, self.local)
        (self.local / "downloads").mkdir()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("LIBTORCH")}
        self.env["SIGHTLINE_LOCAL"] = str(self.local)

    def setup_program(self, *arguments: str, folder: Path = HERE) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, str(folder / "setup.py"), *arguments], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    def test_a_damaged_download_is_refused(self) -> None:
        artefact = lock.artefacts("milvus-lite")[0]
        file = self.local / "downloads" / artefact.file
        file.write_bytes(b"damaged")
        done = self.setup_program("milvus-lite")
        self.assertEqual(done.returncode, 1)
        for words in (str(file), artefact.sha256, hashlib.sha256(b"damaged").hexdigest(), "remedy: delete it"):
            self.assertIn(words, done.stderr)
        self.assertFalse((self.local / "milvus-lite").exists())
        self.assertFalse((self.local / "stamps").exists())

    def test_an_environment_with_every_pinned_version_is_told_from_others(self) -> None:
        pip = importlib.metadata.version("pip")
        file = self.local / "requirements.txt"
        for lines, right in ((f"# made by hand\npip=={pip} \\\n    --hash=sha256:00\n    # via x\n", True),
                             (f"pip=={pip}\nno-such-package==1 ; sys_platform == 'win32'\n", True),
                             ("pip==0.1 \\\n    --hash=sha256:00\n", False),
                             (f"pip=={pip}\nno-such-package==1\n", False)):
            file.write_text(lines)
            self.assertEqual(venv_lock.as_pinned(Path(sys.executable), file), right, lines)

    def test_a_second_run_does_nothing_and_a_changed_lock_unpacks_again(self) -> None:
        program = self.local / "program"
        shutil.copytree(HERE, program, ignore=shutil.ignore_patterns("__pycache__", "model_demo", "reference"))
        self.pin(program, b"first")
        done = self.setup_program("milvus-lite", folder=program)
        self.assertEqual(done.returncode, 0, done.stderr)
        binary = self.local / "milvus-lite/milvus"
        self.assertEqual(binary.read_bytes(), b"first")
        self.assertTrue(os.access(binary, os.X_OK))
        self.assertEqual(list((self.local / "downloads").glob("*")), [])

        began = time.monotonic()
        done = self.setup_program("milvus-lite", folder=program)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertLess(time.monotonic() - began, 1)

        self.pin(program, b"second")
        self.assertEqual(self.setup_program("milvus-lite", folder=program).returncode, 0)
        self.assertEqual(binary.read_bytes(), b"second")

    def pin(self, program: Path, content: bytes) -> None:
        """A lock file that pins a small wheel of ours, and the wheel in the download cache."""
        wheel = io.BytesIO()
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("milvus_lite/lib/milvus", content)
        data = wheel.getvalue()
        (self.local / "downloads").mkdir(exist_ok=True)
        (self.local / "downloads/small.whl").write_bytes(data)
        (program / "lock.json").write_text(
            '{"milvus-lite": [{"package": "milvus-lite", "version": "1", "file": "small.whl", '
            f'"sha256": "{hashlib.sha256(data).hexdigest()}", "bytes": {len(data)}}}]}}'
        )

    def test_ones_own_libtorch_is_not_fetched(self) -> None:
        for name in ("LIBTORCH", "LIBTORCH_USE_PYTORCH"):
            with self.subTest(variable=name):
                self.env[name] = "/opt/torch"
                done = self.setup_program("libtorch")
                del self.env[name]
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(name, done.stdout)
                self.assertFalse((self.local / "libtorch").exists())

    def test_a_component_that_is_not_there_is_named(self) -> None:
        done = self.setup_program("minio")
        self.assertEqual(done.returncode, 2)
        self.assertIn("minio", done.stderr)

    def test_a_disk_without_room_is_said_before_anything_is_fetched(self) -> None:
        done = self.setup_program("--room", "1e9", "milvus-lite")
        self.assertEqual(done.returncode, 1)
        for words in ("needs 1e+09 GB", "GB free", "remedy: make room"):
            self.assertIn(words, done.stderr)
        self.assertEqual(list((self.local / "downloads").glob("*")), [])


if __name__ == "__main__":
    unittest.main()
