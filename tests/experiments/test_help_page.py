"""The help of a command: groups of one screen, the task first."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module

import pytest

from experiments.cli import COMMANDS
from experiments.commands.rollout import RolloutConfig
from experiments.options.help_page import descriptions, groups_of, help_page

SCREEN = 30
"""Lines that one group of `rollout` may take."""


def test_rollout_shows_its_options_in_screens_with_the_task_first():
    page = help_page(RolloutConfig, "xr0-sim rollout")
    groups = page.split("\n\n")[3:]
    assert groups[0].splitlines()[:2][1].strip().startswith("--env")
    assert all(len(group.splitlines()) <= SCREEN for group in groups)
    assert max(map(len, page.splitlines())) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_explained(name):
    config = getattr(import_module(COMMANDS[name].module), COMMANDS[name].config)
    names = [field for group in groups_of(config).values() for field in group]
    assert len(set(names)) == len(names)
    assert {name for name in names if not descriptions(config).get(name)} == set()


def test_an_old_name_of_a_policy_is_understood_and_said_once(capsys, monkeypatch):
    monkeypatch.setattr("xr0_sim.registry._told", set())
    for _ in range(2):
        assert RolloutConfig(policy="expert").condition().policy == "oracle"
    assert capsys.readouterr().err == "policy 'expert' is called 'oracle' now\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_switch_is_off_by_default_so_that_it_can_be_turned(name):
    command = COMMANDS[name]
    config = getattr(import_module(command.module), command.config)
    on = [field.name for field in fields(config) if field.default is True]
    assert not on, "an option without a value can only switch on; name it no_..."
