"""The child process behind the engine: a small interface, and Qt's process as the one that Slicer uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import qt


class EngineProcess(Protocol):
    """One child process. The engine sets the callbacks before ``start``; they are called on the main thread.

    Attributes:
        onOutput, onErrorOutput: are given the bytes of stdout and stderr as they come, in pieces of any length.
        onEnded: is given the exit status and whether the process crashed (then the status is the signal's number on POSIX).
        onStartFailed: is given the reason when no process came to be; nothing else is called then.
    """

    onOutput: Callable[[bytes], None]
    onErrorOutput: Callable[[bytes], None]
    onEnded: Callable[[int, bool], None]
    onStartFailed: Callable[[str], None]

    @property
    def running(self) -> bool:
        """Whether the process is being started or runs."""
        ...

    @property
    def pid(self) -> int | None:
        """Process id, None unless it runs."""
        ...

    def start(self, program: str, arguments: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
        """Start without waiting, in ``folder``, with ``environment`` on top of this process's own."""
        ...

    def write(self, data: bytes) -> None:
        """Send to stdin without waiting."""
        ...

    def kill(self) -> None:
        """Kill this one process, not its children."""
        ...

    def waitForEnded(self, milliseconds: int) -> bool:
        """Block until it has ended, the callbacks included; False when it has not after that time."""
        ...


def _nothing(*_arguments: object) -> None:
    """A callback that nobody has set."""


class QtProcess:
    """:class:`EngineProcess` over ``qt.QProcess``."""

    def __init__(self) -> None:
        self.onOutput: Callable[[bytes], None] = _nothing
        self.onErrorOutput: Callable[[bytes], None] = _nothing
        self.onEnded: Callable[[int, bool], None] = _nothing
        self.onStartFailed: Callable[[str], None] = _nothing
        self._started = False
        self._process = qt.QProcess()
        self._process.started.connect(self._onStarted)
        self._process.readyReadStandardOutput.connect(self._readOutput)
        self._process.readyReadStandardError.connect(self._readErrorOutput)
        self._process.errorOccurred.connect(self._onError)
        self._process.finished.connect(self._onFinished)

    @property
    def running(self) -> bool:
        return self._process.state() != qt.QProcess.NotRunning

    @property
    def pid(self) -> int | None:
        return int(self._process.processId()) or None if self.running else None

    def start(self, program: str, arguments: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
        variables = qt.QProcessEnvironment.systemEnvironment()
        for name, value in environment.items():
            variables.insert(name, value)
        self._process.setProcessEnvironment(variables)
        self._process.setWorkingDirectory(folder)
        self._process.start(program, list(arguments))

    def write(self, data: bytes) -> None:
        if self.running:
            self._process.write(data)

    def kill(self) -> None:
        self._process.kill()

    def waitForEnded(self, milliseconds: int) -> bool:
        return not self.running or bool(self._process.waitForFinished(milliseconds))

    def _onStarted(self, *_arguments: object) -> None:
        self._started = True

    def _onError(self, *_arguments: object) -> None:
        # Every other error (a crash, say) is followed by ``finished``.
        if not self._started and not self.running:
            self.onStartFailed(str(self._process.errorString()))

    def _onFinished(self, *_arguments: object) -> None:
        self._readOutput()
        self._readErrorOutput()
        self.onEnded(int(self._process.exitCode()), self._process.exitStatus() == qt.QProcess.CrashExit)

    def _readOutput(self) -> None:
        if data := _bytesOf(self._process.readAllStandardOutput()):
            self.onOutput(data)

    def _readErrorOutput(self) -> None:
        if data := _bytesOf(self._process.readAllStandardError()):
            self.onErrorOutput(data)


def _bytesOf(array: Any) -> bytes:
    """The content of a QByteArray, which PythonQt may hand over as bytes already."""
    data = array if isinstance(array, bytes) else array.data()
    return data.encode("latin-1") if isinstance(data, str) else bytes(data)
