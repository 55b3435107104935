"""Keys of earlier versions: refused, with the name that they have now."""

import pytest

from pipeline.config import known_keys, load_config
from pipeline.config.reading import RENAMED
from pipeline.errors import InputError


def test_every_old_key_is_refused_with_a_name_that_exists() -> None:
    known = known_keys()
    sections = {key.rpartition(".")[0] for key in known}
    for old, new in RENAMED.items():
        assert old not in known and (new in known or new in sections)
        with pytest.raises(InputError, match=rf"Unknown configuration key '{old}'.* It is called '{new}' now\."):
            load_config(None, [f"{old}=1"])


@pytest.mark.parametrize(("old", "new"), [("quality.good=ok", "inspection"), ("gan.critic_steps=5", "gan.n_critic")])
def test_an_old_key_among_others_is_named(old: str, new: str) -> None:
    with pytest.raises(InputError, match=f"It is called '{new}' now"):
        load_config(None, ["gan.steps=10", old])


def test_a_key_that_never_was_gets_a_guess_instead() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'gan\.steps'\?"):
        load_config(None, ["gan.stepz=10"])
