"""Questions about pictures: where answers stand in the prompt, their loss, and greedy decoding."""

import numpy as np
import pytest
import torch
from squares import build_store, grounding_spec, sample

from xr0_sim.data.chunk_schema import StoreMeta
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.errors import ConfigError
from xr0_sim.model.auxiliary.vqa import Question, QuestionWriter
from xr0_sim.model.initialization import initialize_vlm
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.forward import final_hidden, forward
from xr0_sim.model.vlm.images import normalize_pixels, patchify
from xr0_sim.model.vlm.stock import stock_vlm
from xr0_sim.training.run_log import read_metrics
from xr0_sim.training.trainer import TrainerConfig
from xr0_sim.training.vlm_training import VlmStageConfig, train_vlm
from xr0_sim.training.vqa_loss import VisualQuestions, earlier_frames

HORIZON = 8


def side_question(values, instruction, rng):
    """Which half of the base view a square is in; nothing without one."""
    name = next((n for n in sorted(values) if n.endswith("@0")), None)
    if name is None:
        return None
    color = name.split("@")[0]
    answer = "left" if values[name][0] < 0.5 else "right"
    return Question("side", f"On which side is {color}?", answer)


def way_question(before, now, rng):
    """Which way the square has gone."""
    further = now["red@0"][0] > before["red@0"][0]
    return Question("way", "Which way did it go?", "right" if further else "left")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two frames of each of 40 episodes with the square elsewhere, and a third one much later."""
    spec, root = grounding_spec(("red",)), tmp_path_factory.mktemp("pairs")
    meta = StoreMeta(
        horizon=HORIZON, image_size=64, grounding_dim=spec.width, grounding=spec.to_dict()
    )
    with ChunkWriter(root, meta, "main") as writer:
        for seed in range(40):
            for frame, tick in enumerate((0, 7, 60)):
                drawn = sample(seed + 1000 * frame, 64, HORIZON, ("red",))
                writer.add(**{**drawn, "episode_seed": seed, "tick": tick})
            writer.end_episode()
    return ChunkStore(root)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("asked")
    return ChunkStore(build_store(root / "store", 32, 64, HORIZON, ("red",)))


@pytest.fixture(scope="module")
def asking(store):
    policy = random_policy_model(preset_config("nano", action_length=HORIZON), seed=0)
    generator = torch.Generator().manual_seed(1)
    initialize_vlm(policy.model.vlm, generator)
    sizes = policy.processor.patching
    return policy, VisualQuestions(QuestionWriter(side_question), store, policy.processor), sizes


def test_answers_stand_where_the_mask_says(asking, store):
    policy, _, sizes = asking
    images = torch.from_numpy(store.images(np.arange(2))).flatten(0, 1).float()
    patches = patchify(normalize_pixels(images), *sizes)
    inputs, given = policy.processor.dialogue(
        patches, (64, 64), ["Where is it?", "Is it red, and where?"], ["left", "right"]
    )
    tokenizer = policy.processor._tokenizer
    for row, answer in enumerate(("left", "right")):
        places = torch.nonzero(given[row] >= 0)[:, 0]
        told = inputs.input_ids[row, places + 1].tolist()
        text = tokenizer.decode(told, skip_special_tokens=False)
        assert text == f"{answer}<|im_end|>"
        assert given[row, places].tolist() == list(range(len(places)))
        assert int(places[-1]) + 2 == int(inputs.lengths[row])


def test_the_loss_is_that_of_the_answers_in_the_stock_model(asking, store):
    policy, questions, sizes = asking
    vlm, rows = policy.model.vlm, np.arange(4)
    with torch.no_grad():
        mine = questions.loss(vlm, rows, np.random.default_rng(0))
        written = questions.write(rows, np.random.default_rng(0))
        assert [one.row for one in written] == [0, 1, 2, 3]
        images = torch.from_numpy(store.images(rows)).flatten(0, 1).float()
        inputs, given = policy.processor.dialogue(
            patchify(normalize_pixels(images), *sizes),
            (64, 64),
            [one.question.text for one in written],
            [one.question.answer for one in written],
        )
        logits = stock_vlm(vlm)(**inputs.stock(policy.processor.image_id)).logits
        terms = [
            torch.nn.functional.cross_entropy(
                logits[row, place][None], inputs.input_ids[row, place + 1][None]
            )
            for row, place in torch.nonzero(given >= 0).tolist()
        ]
        before, _ = forward(vlm, inputs, 1)
        assert final_hidden(vlm, before[-1], inputs).shape == (
            *logits.shape[:2],
            before[-1].shape[-1],
        )
    torch.testing.assert_close(mine, torch.stack(terms).mean(), atol=1e-4, rtol=1e-4)


def test_rows_without_a_question_are_left_out(asking, store):
    policy = asking[0]
    none = VisualQuestions(QuestionWriter(lambda *_: None), store, policy.processor)
    rng = np.random.default_rng(0)
    assert none.answered(policy.model.vlm, np.arange(3), rng) == []
    assert none.loss(policy.model.vlm, np.arange(3), rng).item() == 0.0


@pytest.mark.slow
def test_a_brain_learns_to_answer_from_pictures(store, tmp_path):
    config = preset_config("nano", action_length=HORIZON, proposals=2)
    trainer = TrainerConfig(
        steps=300, learning_rate=3e-3, warmup_steps=20, log_every=50, batch_size=16
    )
    stage = VlmStageConfig(trainer, validation_fraction=0.1, question_share=1.0)
    assert train_vlm(
        store, config, stage, tmp_path, lambda line: None, questions=QuestionWriter(side_question)
    )
    rows = [row for row in read_metrics(tmp_path) if "questions" in row]
    assert "flow" not in rows[-1] and rows[-1]["questions"] < 0.2 * rows[0]["questions"]


def test_shares_out_of_range_get_one_line(store, tmp_path):
    config = preset_config("nano", action_length=HORIZON)
    stage = VlmStageConfig(TrainerConfig(steps=1), question_share=1.5)
    with pytest.raises(ConfigError, match=r"question_share: expected 0 \.\. 1"):
        train_vlm(
            store,
            config,
            stage,
            tmp_path,
            lambda line: None,
            questions=QuestionWriter(side_question),
        )


def test_a_frame_is_compared_with_the_one_before_it_of_its_episode(pairs):
    earlier = earlier_frames(pairs)
    np.testing.assert_array_equal(earlier[1::3], np.arange(0, 120, 3))
    assert (earlier[::3] == -1).all() and (earlier[2::3] == -1).all()


def test_questions_about_two_frames_show_both_base_views(pairs, asking):
    policy = asking[0]
    writer = QuestionWriter(side_question, way_question)
    questions = VisualQuestions(writer, pairs, policy.processor)
    rows = np.tile(np.arange(1, 120, 3), 4)
    written = questions.write(rows, np.random.default_rng(2))
    compared = [one for one in written if one.earlier is not None]
    assert 10 < len(compared) < 50 and {one.question.kind for one in compared} == {"way"}
    pictures, views = questions._pictures(written[:30])
    assert len(pictures) == sum(map(len, views)) and {len(names) for names in views} == {2, 3}
    start = 0
    for one, names in zip(written[:30], views, strict=True):
        shown = pictures[start : start + len(names)]
        start += len(names)
        if one.earlier is None:
            np.testing.assert_array_equal(shown, pairs.images(np.array([one.row]))[0])
        else:
            both = pairs.images(np.array([one.earlier, one.row]))[:, 0]
            np.testing.assert_array_equal(shown, both)


def test_a_batch_of_both_kinds_reads_each_as_if_alone(pairs, asking):
    policy = asking[0]
    questions = VisualQuestions(
        QuestionWriter(side_question, way_question), pairs, policy.processor
    )
    written = questions.write(np.tile(np.arange(1, 120, 3), 4), np.random.default_rng(2))
    two = next(one for one in written if one.earlier is not None)
    one = next(one for one in written if one.earlier is None)
    with torch.no_grad():
        both, _, owner = questions._ask(policy.model.vlm, [two, one])
        for place, asked in enumerate((two, one)):
            alone = questions._ask(policy.model.vlm, [asked])[0]
            torch.testing.assert_close(both[owner == place], alone, atol=1e-4, rtol=1e-4)
