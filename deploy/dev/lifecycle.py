"""Starting, stopping and killing components in a data folder. The caller holds the folder's lock."""

import sys
import time
from typing import Dict, Iterable, List, Sequence

import ports
import processes
from components import ALL
from components.base import Options
from datafolder import DataFolder, Settings
from probes import NotReady
from problem import DevError


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def up(data: DataFolder, names: Sequence[str], options: Options, die_with_parent: bool = False) -> List[str]:
    """Start the components that do not run, all at once, and wait until each serves. Gives those it started."""
    names = list(dict.fromkeys(names))
    _refuse_missing(names)
    fresh = [name for name in names if not data.is_running(name)]
    began = time.monotonic()
    try:
        for name in fresh:
            _choose_ports(data, name, options)
            data.log(name).unlink(missing_ok=True)
            _spawn(data, name, die_with_parent)
        for name in names:
            _wait_ready(data, name)
            seconds = time.monotonic() - began
            say(f"{name}: ready after {seconds:.1f} s" if name in fresh else f"{name}: already running, left as it is")
    except BaseException:
        down(data, fresh)
        raise
    return fresh


def start(data: DataFolder, name: str) -> None:
    """Start a component again, on the ports and with the options it had."""
    _refuse_missing([name])
    if data.is_running(name):
        say(f"{name}: already running, left as it is")
        return
    processes.kill(data.folder(name))
    taken = [port for port in data.instance(name).ports.values() if not ports.is_free(port)]
    if taken:
        raise DevError(f"{name} cannot start on the ports it had: another program took {taken}; end it, or give "
                       f"{name} new ports with `dev.py up {name}`")
    began = time.monotonic()
    try:
        _spawn(data, name, die_with_parent=False)
        _wait_ready(data, name)
        say(f"{name}: ready after {time.monotonic() - began:.1f} s")
    except BaseException:
        down(data, [name])
        raise


def down(data: DataFolder, names: Iterable[str]) -> None:
    """End the components and every process they left, whatever state they are in."""
    for name in names:
        component, settings = ALL[name], data.settings(name)
        main = settings.main if settings is not None else None
        if not processes.stop(data.folder(name), main, component.stop_seconds):
            say(f"{name}: did not end within {component.stop_seconds:.0f} s of SIGTERM and was killed")
        _tidy(data, name)


def kill(data: DataFolder, name: str) -> None:
    """SIGKILL, as a fault."""
    if not data.is_running(name):
        raise DevError(f"{name} does not run in {data.root}: there is nothing to kill")
    processes.kill(data.folder(name))
    _tidy(data, name)


def environment(data: DataFolder) -> Dict[str, str]:
    """The variables of every component that runs in the folder."""
    variables: Dict[str, str] = {}
    for name, component in ALL.items():
        if data.is_running(name):
            variables.update(component.environment(data.instance(name)))
    if variables:
        variables["SIGHTLINE_TEST_DEV_DATA"] = str(data.root)
    return variables


def _refuse_missing(names: Sequence[str]) -> None:
    missing = [name for name in names if not ALL[name].installed()]
    if missing:
        raise DevError(f"not set up: {', '.join(missing)}; run deploy/setup/setup.py {' '.join(missing)}")


def _choose_ports(data: DataFolder, name: str, options: Options) -> None:
    """The ports it had, while they are free; else new ones."""
    wanted, old = ALL[name].port_names(options), data.settings(name)
    if old is not None and set(old.ports) == set(wanted) and all(map(ports.is_free, old.ports.values())):
        data.save(name, Settings(old.ports, options))
        return
    known = [settings for settings in map(data.settings, data.names()) if settings is not None]
    taken = [port for settings in known for port in settings.ports.values()]
    data.save(name, Settings(ports.choose(wanted, taken), options))


def _spawn(data: DataFolder, name: str, die_with_parent: bool) -> None:
    # What a crash may have left would hold the ports or the files.
    folder = data.folder(name)
    processes.kill(folder)
    folder.mkdir(parents=True, exist_ok=True)
    instance = data.instance(name)
    main = 0
    for launch in ALL[name].prepare(instance):
        main = processes.start(launch.command, launch.env, folder, data.log(name), die_with_parent).pid
    data.save(name, Settings(instance.ports, instance.options, main))


def _wait_ready(data: DataFolder, name: str) -> None:
    component, instance = ALL[name], data.instance(name)
    deadline = time.monotonic() + component.start_seconds
    while True:
        try:
            component.check(instance)
            break
        except NotReady as error:
            reason = error
        if not data.is_running(name):
            raise DevError(f"{name} ended while starting; from {data.log(name)}:\n{data.log_excerpt(name)}")
        if time.monotonic() > deadline:
            raise DevError(f"{name} was not ready within {component.start_seconds:.0f} s ({reason}); from "
                           f"{data.log(name)}:\n{data.log_excerpt(name)}")
        time.sleep(0.1)


def _tidy(data: DataFolder, name: str) -> None:
    settings = data.settings(name)
    if settings is None:
        return
    if settings.main is not None:
        ALL[name].tidy(data.instance(name), settings.main)
    data.save(name, Settings(settings.ports, settings.options))
