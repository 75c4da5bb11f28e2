"""Experiments about learning: the page follows from the tables, the statistics hold, runs keep what they promise."""

from __future__ import annotations

import copy
import importlib
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

pd = pytest.importorskip("pandas", reason="the tables are read by pandas")

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"
if not FOLDER.exists():
    pytest.skip("the benchmarks are not part of this installation", allow_module_level=True)
sys.path.insert(0, str(FOLDER))
learning, results = importlib.import_module("learning"), importlib.import_module("results")
arms, comparisons, configuration, coverage, findings, profiles, repeats, report, runner, store = (
    importlib.import_module(f"experiments.{name}")
    for name in (
        *("arms", "comparisons", "configuration", "coverage", "findings"),
        *("profiles", "repeats", "report", "runner", "store"),
    )
)
sys.path.remove(str(FOLDER))

TABLES = FOLDER / "results" / "learning"
SHOWN = learning.shown()
ARMS = arms.ARMS


# --- the page -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed():
    return findings.Results(*SHOWN)


@pytest.fixture(scope="module")
def earlier():
    return findings.Results(learning.EARLIER)


def test_page_follows_from_the_tables(committed, earlier):
    about = [one for folder in SHOWN for one in results.read_json(folder / "about.json")]
    page = report.page(committed, about, earlier)
    assert (ROOT / "docs" / "learning.md").read_text(encoding="utf-8") == page
    assert findings.reasons.NONE not in page


def test_pictures_of_the_page_are_there(committed):
    page = (ROOT / "docs" / "learning.md").read_text(encoding="utf-8")
    for name in ("effects", "rates", "prediction", "staying", "conservation", "along-untuned", "along-tuned"):
        assert f"_static/learning/{name}.png" in page
        assert (ROOT / "docs" / "_static" / "learning" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("folder", SHOWN, ids=lambda folder: folder.name)
def test_tables_hold_whole_experiments_of_their_profile(folder):
    profile = next(name for name, where in learning.FOLDERS.items() if where == folder)
    planned = {one.name: one for one in profiles.PROFILES[profile]}
    table = store.read_runs(folder)
    assert table.key.is_unique
    assert set(table.experiment) <= set(planned)
    assert profile == "full" or set(table.experiment) == set(planned)
    for name, rows in table.groupby("experiment"):
        one = replace(planned[name], first_seed=int(rows[rows.stage != "tuning"].seed.min()))
        known = {
            key: {"diverged": row.diverged, "validation_loss": row.validation_loss}
            for key, row in zip(rows.key, rows.itertuples(), strict=True)
        }
        runs = [*one.tuning(), *one.compared(runner.chosen(one, known))]
        assert set(rows.key) == {run.key for run in runs}


def test_page_says_of_which_experiments_it_speaks(committed):
    note = coverage.note(committed)
    complete, _, missing = note.partition("Not run yet")
    for one in profiles.PROFILES["full"]:
        is_shown = (
            coverage.profile(committed, one.name) == "full" if one.name in set(committed.runs.experiment) else False
        )
        assert (one.title in missing) != is_shown
        assert not is_shown or one.title in complete


def test_of_an_experiment_in_several_folders_the_last_is_taken(tmp_path):
    table = store.read_runs(TABLES)
    table[table.experiment == "digits"].assign(seed=7).to_csv(tmp_path / "runs.csv", index=False)
    both = findings.Results(TABLES, tmp_path).runs
    assert len(both) == len(table)
    assert set(both[both.experiment == "digits"].seed) == {7}
    assert len(set(both[both.experiment == "circle"].seed)) > 1


def test_promises_are_kept_in_every_run(committed):
    assert committed.runs.function_change.max() < 1e-4
    assert committed.runs.imbalance_left.max() < 1e-6
    drifts = committed.conservation[committed.conservation.what == "drift"]
    for _, rows in drifts.groupby("seed"):
        assert comparisons.log_slope(rows.step, rows.value) == pytest.approx(1.0, abs=0.05)
    control = committed.runs[committed.runs.experiment.isin(findings.CONTROLS) & (committed.runs.stage != "tuning")]
    assert (control.groupby(["experiment", "stage", "seed"]).mean_training_loss.nunique() == 1).all()


def test_effects_are_compared_by_sign(committed, tmp_path):
    assert repeats.different(repeats.repeats(committed, committed)) == []
    real = next(one for one in committed.comparisons["mean_training_loss"] if one.sign)
    runs = committed.runs.copy()
    chosen = (runs.experiment == real.experiment) & (runs.stage == real.stage)
    swapped = {real.arm: real.reference, real.reference: real.arm}
    runs.loc[chosen, "arm"] = runs.loc[chosen, "arm"].replace(swapped)
    runs.to_csv(tmp_path / "runs.csv", index=False)
    name = f"mean_training_loss: {real.experiment}, {real.stage}, {real.arm}, {real.reference}"
    assert name in repeats.different(repeats.repeats(committed, findings.Results(tmp_path)))


def test_effects_repeat_with_other_seeds(committed, earlier):
    """Signs of what the page tells from zero, in a run that shares no seed; a few may be chance."""
    pairs = repeats.repeats(committed, earlier)
    assert len(pairs) >= 10
    assert len(repeats.different(pairs)) <= 0.05 * len(pairs)


def test_what_shares_seeds_is_no_repetition(committed):
    assert repeats.section(committed, committed) == ""


# --- statistics -----------------------------------------------------------------------------------------------------


def test_holm_by_hand():
    assert comparisons.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparisons.holm([0.9, 0.8]) == [1.0, 1.0]


def test_intervals_cover_and_p_is_that_of_the_paired_test():
    rng = np.random.default_rng(0)
    null = [comparisons.bootstrap(rng.standard_normal(8)) for _ in range(150)]
    missed = np.mean([one["low"] > 0 or one["high"] < 0 for one in null])
    assert 0.005 < missed < 0.12
    x, y = rng.standard_normal((2, 8)) + 0.5
    found = comparisons.bootstrap(x - y)
    assert found["p"] == pytest.approx(stats.ttest_rel(x, y).pvalue)
    sure = comparisons.bootstrap(1.0 + 0.1 * rng.standard_normal(8))
    assert 0 < sure["low"] < sure["difference"] < sure["high"]
    assert sure["effect"] > 4


def test_what_is_real_but_small_does_not_count():
    one = comparisons.Comparison("", "", "test_accuracy", "", "", 8, 0, 0.004, 0.003, 0.005, 5.0, 1e-6, 1e-4)
    assert one.sign == 0
    assert replace(one, difference=0.02).sign == 1
    assert replace(one, difference=0.02, adjusted=0.06).sign == 0
    assert replace(one, difference=0.02, low=-0.01).sign == 0


def test_pairs_that_diverged_are_left_out_and_counted():
    rows = [
        {"experiment": "digits", "stage": "tuned", "arm": arm, "seed": seed, "test_loss": loss}
        for arm, losses in (("plain", (1.0, 2.0, 4.0, None)), ("start p=2", (2.0, 4.0, None, 1.0)))
        for seed, loss in enumerate(losses)
    ]
    (found,) = comparisons.compared(pd.DataFrame(rows), "test_loss")
    assert (found.pairs, found.lost) == (2, 2)
    assert found.difference == pytest.approx(np.log(2))


def test_arms_that_do_the_same_are_not_told_apart():
    assert comparisons.bootstrap(np.zeros(8))["p"] == 1.0
    assert comparisons.bootstrap(np.array([0.3]))["p"] == 1.0


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, 30).astype(float)
    y = x + rng.standard_normal(30)
    assert comparisons.rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert np.isnan(comparisons.rank_correlation(np.ones(5), np.arange(5.0)))


# --- configurations and the runner ------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", profiles.PROFILES)
def test_every_arm_has_one_budget(profile):
    for experiment in profiles.PROFILES[profile]:
        counts = {len(set(experiment.trials(arm))) for arm in experiment.arms}
        assert len(counts) == 1
        if profile != "smoke":
            assert experiment.seeds >= (10 if profile == "full" else 5)
        runs = [*experiment.tuning(), *experiment.compared({arm.name: (0.1, 0.0) for arm in experiment.arms})]
        assert len({run.key for run in runs}) == len(runs)


def test_a_run_is_known_by_all_that_is_in_it():
    run = profiles.PROFILES["short"][0].tuning()[0]
    other = replace(run, arm=replace(run.arm, p=run.arm.p + 1))
    assert run.key == replace(run).key != other.key


def test_other_seeds_are_other_runs():
    one = profiles.PROFILES["short"][0]
    other = replace(one, first_seed=100)
    at = {arm.name: (0.1, 0.0) for arm in one.arms}
    assert not {run.key for run in one.tuning()} & {run.key for run in other.tuning()}
    assert not {run.key for run in one.compared(at)} & {run.key for run in other.compared(at)}
    assert len({run.seed for run in (*other.tuning(), *other.compared(at))}) == one.seeds + one.tuning_seeds


def test_rates_of_an_arm_that_needs_smaller_ones():
    one = profiles.PROFILES["short"][0]
    rates = [rate for rate, _ in one.trials(ARMS["disturbed widely"])]
    assert rates == pytest.approx([rate / 10 for rate in one.rates])
    assert [rate for rate, _ in one.trials(ARMS["disturbed widely, start p=2"])] == list(one.rates)


def test_choice_of_rates_survives_writing(tmp_path, monkeypatch):
    """Losses that differ in digits that the tables do not have."""
    experiment = next(one for one in profiles.PROFILES["smoke"] if one.name == "digits")
    monkeypatch.setattr(runner, "_measure_conservation", lambda folder: None)
    monkeypatch.setattr(runner, "environment", lambda: {"machine": "a machine"})

    def results(runs, pool):
        for run in runs:
            found = fake(run, [])
            found["row"]["validation_loss"] = 1.0 - 1e-9 * run.rate
            yield found

    monkeypatch.setattr(runner, "_results", results)
    runner.run_experiments([experiment], tmp_path, 1)
    monkeypatch.setattr(runner, "_results", lambda runs, pool: iter([None] * len(runs)))
    runner.run_experiments([experiment], tmp_path, 1)  # nothing is missing


def fake(run, calls):
    calls.append(run.key)
    loss = 1.0 + abs(np.log10(run.rate) + 1)
    row = {**run.row, "diverged": False, "validation_loss": loss, "mean_training_loss": loss}
    epochs = [] if run.stage == "tuning" else [{"epoch": 0, "validation_loss": 2.0}]
    return {"row": row, "epochs": epochs}


def test_killed_runs_repeat_nothing(tmp_path, monkeypatch):
    experiments = [one for one in profiles.PROFILES["smoke"] if one.name in ("circle", "digits")]
    monkeypatch.setattr(runner, "environment", lambda: {"machine": "a machine"})
    monkeypatch.setattr(runner, "_measure_conservation", lambda folder: None)
    calls: list[str] = []

    def until(limit):
        def results(runs, processes):
            for run in runs:
                if len(calls) == limit:
                    raise KeyboardInterrupt
                yield fake(run, calls)

        return results

    of_first = 5 * 2 + 5 * 2 * 2
    for limit in (7, 25, 40):
        monkeypatch.setattr(runner, "_results", until(limit))
        with pytest.raises(KeyboardInterrupt):
            runner.run_experiments(experiments, tmp_path, 1)
        complete = of_first if limit > of_first else 0
        assert len(calls) == limit
        assert len(list(tmp_path.glob("*.partial.json"))) == limit - complete
        assert (tmp_path / "runs.csv").exists() == bool(complete)
    assert set(store.read_runs(tmp_path).experiment) == {"digits"}
    monkeypatch.setattr(runner, "_results", until(None))
    runner.run_experiments(experiments, tmp_path, 1)
    assert len(calls) == len(set(calls))
    assert not list(tmp_path.glob("*.partial.json"))
    table, epochs = store.read_runs(tmp_path), store.read_epochs(tmp_path)
    assert set(table.key) == set(calls)
    assert set(epochs.key) == set(table[table.stage != "tuning"].key)
    tuned = table[(table.experiment == "digits") & (table.stage == "tuned")]
    assert set(tuned.rate) == {0.1, 0.03}
    assert set(tuned[tuned.rate == 0.03].arm) == {"disturbed widely"}
    before = (tmp_path / "runs.csv").read_bytes(), (tmp_path / "epochs.csv.gz").read_bytes()
    runner.run_experiments(experiments[:1], tmp_path, 1)
    assert len(calls) == len(table)
    runner.run_experiments(experiments, tmp_path, 1)
    assert before == ((tmp_path / "runs.csv").read_bytes(), (tmp_path / "epochs.csv.gz").read_bytes())


# --- training -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def training():
    pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')
    pytest.importorskip("sklearn")
    return importlib.import_module("experiments.training")


def run_of(name, arm, **options):
    experiment = next(one for one in profiles.PROFILES["smoke"] if one.name == name)
    return replace(experiment.run(ARMS[arm], 0.1, 1e-3 if ARMS[arm].penalty else 0.0, 0, "tuned"), epochs=1, **options)


def test_smoke(training, tmp_path, monkeypatch):
    circle = next(one for one in profiles.PROFILES["smoke"] if one.name == "circle")
    monkeypatch.setattr(runner, "_measure_conservation", lambda folder: None)
    runner.run_experiments([replace(circle, arms=circle.arms[-3:])], tmp_path, 1)
    table, epochs = store.read_runs(tmp_path), store.read_epochs(tmp_path)
    assert len(table) == 3 * (2 + 2 * 2)
    assert table.function_change.max() < 1e-5
    assert epochs.drop(columns="seconds").notna().all().all()
    assert (epochs.groupby("key").size() == 3).all()
    assert (table.seconds > table.balancing_seconds).all()


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_trains(training, arm):
    row = training.train(run_of("digits", arm, batch=250))["row"]
    assert not row["diverged"]
    assert row["imbalance_left"] < 1e-6
    if ARMS[arm].during == "full" and ARMS[arm].p == 2:
        assert row["largest_imbalance_2"] < 1e-6
    assert (row["bias_change"] > 0.01) == (arm == "weights alone")
    assert (row["first_imbalance_2"] < 1e-6) == (ARMS[arm].start == "balance" and ARMS[arm].p == 2)


@pytest.mark.parametrize("name", ["recurrent", "norm", "encoder"])
def test_other_architectures_train(training, name):
    row = training.train(run_of(name, "full each epoch", batch=500))["row"]
    assert row["largest_imbalance_2"] < 1e-6
    assert row["sharpness"] > 0


def test_tanh_arms_are_one_bit_for_bit(training):
    losses = {
        training.train(run_of(findings.CONTROLS[0], arm.name, batch=250))["row"]["mean_training_loss"]
        for arm in profiles._CONTROL
    }
    assert len(losses) == 1


def test_scaling_that_changes_the_function_stops_the_run(training, monkeypatch):
    treatment = importlib.import_module("experiments.treatment")

    def wrong(structure, scales):
        with training.torch.no_grad():
            next(iter(structure.tensors.values())).mul_(1.01)

    monkeypatch.setattr(treatment, "apply", wrong)
    with pytest.raises(AssertionError, match="outputs changed"):
        training.train(run_of("digits", "disturbed"))


def test_equi_normalization_arrives_at_the_balance_of_weights_alone(training):
    from balance_graph.pytorch import balance_module

    networks, rule = (importlib.import_module(f"experiments.{name}") for name in ("networks", "equi_normalization"))
    network, module = networks.drawn("2-4-5-2", 0)
    module = copy.deepcopy(module).double()
    x = training.torch.randn(50, 2, dtype=training.torch.float64)
    optimum = balance_module(module, (x[:1],), costed=("weights",), inplace=False)
    before = module(x)
    for _ in range(300):
        rule.cycle(module, network.layers, 2.0)
    training.torch.testing.assert_close(module(x), before)
    assert sum(layer.weight.square().sum().item() for layer in module[::2]) == pytest.approx(optimum.cost, rel=1e-9)


def test_balance_in_double_precision(training):
    from balance_graph.pytorch import ModuleBalancer

    torch = training.torch
    torch.manual_seed(0)
    layers = [part for one, two in pairwise((64, 32, 16, 10)) for part in (torch.nn.Linear(one, two), torch.nn.ReLU())]
    module = torch.nn.Sequential(*layers[:-1]).double()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    balancer = ModuleBalancer(module, optimizer, (torch.zeros(1, 64).double(),))
    assert balancer.imbalance() > 0.1
    balancer.step()
    assert balancer.imbalance() < 1e-10


def test_power_iteration_finds_the_largest_eigenvalue(training):
    torch = training.torch
    measures, tasks = (importlib.import_module(f"experiments.{name}") for name in ("measures", "tasks"))
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    part = tasks.Part(torch.randn(50, 2), torch.randint(2, (50,)))
    names = dict(module.named_parameters())
    sizes = [p.numel() for p in names.values()]

    def loss(flat):
        parts = dict(
            zip(names, (v.view_as(p) for v, p in zip(flat.split(sizes), names.values(), strict=True)), strict=True)
        )
        return torch.nn.functional.cross_entropy(torch.func.functional_call(module, parts, part.x), part.y)

    flat = torch.cat([p.detach().reshape(-1) for p in names.values()])
    hessian = torch.autograd.functional.hessian(loss, flat)
    curvature = measures.Curvature(module, part, 0)
    sharpness = [curvature.measured()[0] for _ in range(5)][-1]
    assert sharpness == pytest.approx(float(torch.linalg.eigvalsh(hessian).abs().max()), rel=0.02)


def test_drift_is_linear_in_the_step_and_a_penalty_decays_imbalance_at_its_rate(training):
    conservation = importlib.import_module("experiments.conservation")
    steps = (0.008, 0.004, 0.002)
    drifts = [conservation.drift(step, 0) for step in steps]
    assert comparisons.log_slope(steps, drifts) == pytest.approx(1.0, abs=0.05)
    for penalty in (0.1, 0.3):
        assert conservation.decay(penalty, 0) == pytest.approx(2 * penalty, rel=0.05)
