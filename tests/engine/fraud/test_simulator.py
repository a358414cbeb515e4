import hashlib
import subprocess
import sys
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.fraud.simulator import simulate
from pipelines.cli.errors import InputError
from pipelines.ingest.month_files import write_months
from pipelines.ingest.rows import Rows
from pipelines.tables.cast import ARROW
from tests.engine.fixtures_repo import PARAMS, ROOT

DAY = np.timedelta64(1, "D")


def changed(spec, **settings):
    return type(spec).model_validate({**spec.model_dump(), **settings})


@pytest.fixture(scope="module")
def table(spec):
    return simulate(spec)


@pytest.fixture(scope="module")
def large(spec):
    """Enough rows for shares to be steady."""
    return simulate(changed(spec, payments=60_000, customers=2_000, merchants=500, days=70))


def values(table, name):
    return np.array(table[name].to_pylist())


def bytes_of(table, params, folder):
    folder.mkdir()
    write_months(Rows(table.schema, [table]), params.table, folder)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_equal_settings_give_equal_bytes_in_this_process_and_in_another(spec, params, tmp_path):
    here = bytes_of(simulate(spec), params, tmp_path / "one")
    assert bytes_of(simulate(spec), params, tmp_path / "two") == here
    (tmp_path / "three").mkdir()
    code = (
        "import sys; from pathlib import Path; from examples.fraud.simulator import read_rows;"
        "from pipelines.config.ingest import Simulator; from pipelines.config.params import load;"
        "from pipelines.ingest.month_files import write_months;"
        "spec, table = Simulator.model_validate_json(sys.argv[1]), load(Path(sys.argv[3])).table;"
        "write_months(read_rows(spec, table, Path(), print), table, Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, spec.model_dump_json(), str(tmp_path / "three"), str(PARAMS)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == "simulating 5000 payments\n"
    there = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((tmp_path / "three").iterdir())}
    assert there == here


def test_another_seed_gives_other_rows(spec, table):
    assert not simulate(changed(spec, seed=8)).equals(table)


def test_columns_and_types_are_those_of_the_schema(table, params):
    simulated = {name: column for name, column in params.table.columns.items() if not column.prepared}
    assert table.column_names == list(simulated)
    assert {name: table[name].type for name in table.column_names} == {
        name: ARROW[column.type] for name, column in simulated.items()
    }


def assert_fits(table, params, preparation):
    prepared = preparation.run(table)
    table = pa.table({**dict(zip(table.column_names, table.columns, strict=True)), **prepared.to_pydict()})
    for name, column in params.table.columns.items():
        known = table[name].drop_null()
        assert column.nullable or table[name].null_count == 0, name
        if column.min is not None:
            assert pc.min(known).as_py() >= column.min, name
        if column.max is not None:
            assert pc.max(known).as_py() <= column.max, name
        if column.allowed is not None:
            assert set(known.to_pylist()) == set(column.allowed), name


def test_values_fit_the_schema_and_no_allowed_value_is_absent(table, large, params, preparation):
    assert_fits(table, params, preparation)
    assert_fits(large, params, preparation)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(500, 3000), st.integers(30, 400), st.integers(50, 300))
def test_any_small_world_can_be_simulated(seed, payments, days, customers):
    from pipelines.config.ingest import Simulator

    spec = Simulator(
        kind="simulator", seed=seed, start=date(2024, 2, 28), days=days, payments=payments, customers=customers,
        merchants=50, fraud_rate=0.02, missing_rate=0.1,
    )  # fmt: skip
    table = simulate(spec)
    assert len(table) == payments
    paid = values(table, "paid_at").astype("datetime64[s]")
    start = np.datetime64(spec.start)
    assert paid.min() >= start and paid.max() < start + days * DAY
    assert pc.max(table["minutes_since_last"]).as_py() <= 300_000
    assert pc.min(table["amount"]).as_py() >= 0.5 and pc.max(table["amount"]).as_py() <= 50_000


def test_keys_are_unique_and_rows_sorted_by_time_then_key(table):
    keys, paid = table["payment_id"].to_pylist(), table["paid_at"].to_pylist()
    assert keys[0] == "p00000001" and len(set(keys)) == len(keys)
    assert list(zip(paid, keys, strict=True)) == sorted(zip(paid, keys, strict=True))


def test_amounts_have_two_decimals(table):
    for name in ("amount", "usual_amount"):
        known = np.array(table[name].drop_null().to_pylist())
        assert (known == np.round(known, 2)).all()


def test_the_share_of_fraud_is_the_one_of_params(spec):
    for rate in (0.005, 0.012, 0.02):
        made = simulate(changed(spec, fraud_rate=rate, payments=20_000))
        known = made["is_fraud"].drop_null()
        assert pc.mean(known).as_py() == pytest.approx(rate, rel=0.2)


def test_fraud_reaches_every_channel_category_and_age_group(large):
    for name in ("channel", "merchant_category", "age_group"):
        frauds = large.filter(pc.equal(large["is_fraud"], 1))
        assert set(frauds[name].to_pylist()) == set(large[name].to_pylist()), name


def test_fraud_rates_of_age_groups_are_similar(spec):
    rates = []
    large = simulate(changed(spec, payments=120_000, customers=4_000, fraud_rate=0.02))
    for group in set(large["age_group"].to_pylist()):
        rates.append(pc.mean(large.filter(pc.equal(large["age_group"], group))["is_fraud"]).as_py())
    assert min(rates) / max(rates) > 0.6


def test_nights_are_quiet_and_weekdays_differ(large):
    paid = large["paid_at"]
    hours = np.bincount(pc.hour(paid).to_numpy(), minlength=24)
    assert hours[2:5].mean() < 0.25 * hours[10:20].mean()
    days = np.bincount(pc.day_of_week(paid).to_numpy(), minlength=7)
    assert days.argmin() == 6 and set(np.argsort(days)[-2:]) == {4, 5}


def test_labels_come_one_to_fourteen_days_late_and_never_after_the_end(spec, table):
    paid = values(table, "paid_at").astype("datetime64[s]")
    known = values(table, "labelled_at") != np.array(None)
    delay = np.array(table["labelled_at"].drop_null().to_pylist(), dtype="datetime64[s]") - paid[known]
    assert delay.min() >= DAY and delay.max() <= 14 * DAY
    assert delay.max() - delay.min() > 10 * DAY
    end = np.datetime64(spec.start + timedelta(days=spec.days))
    assert np.array(table["labelled_at"].drop_null().to_pylist(), dtype="datetime64[s]").max() < end


def test_a_label_is_missing_exactly_where_its_time_is(table):
    assert table["is_fraud"].is_null().equals(table["labelled_at"].is_null())
    assert 0 < table["is_fraud"].null_count < len(table) / 2


def test_rows_older_than_the_label_delay_are_all_labelled(spec, table):
    newest = pc.max(table["paid_at"]).as_py()
    old = table.filter(pc.less_equal(table["paid_at"], pa.scalar(newest - timedelta(days=14), pa.timestamp("s"))))
    assert len(old) > 0 and old["is_fraud"].null_count == 0


def test_missing_values_have_the_rate_of_params(spec):
    none = simulate(changed(spec, missing_rate=0.0))
    assert none["new_device"].null_count == 0
    assert none["usual_amount"].is_null().equals(none["minutes_since_last"].is_null())
    some = simulate(changed(spec, missing_rate=0.1, payments=20_000))
    assert some["new_device"].null_count / len(some) == pytest.approx(0.1, rel=0.15)


def test_the_first_week_has_the_habits_of_the_last(large):
    paid = values(large, "paid_at").astype("datetime64[s]")
    weeks = [large.filter(pa.array(mask)) for mask in (paid < paid[0] + 7 * DAY, paid > paid[-1] - 7 * DAY)]
    for name, most in (("usual_amount", 0.02 + 0.01), ("minutes_since_last", 0.01)):
        assert all(week[name].null_count < most * len(week) for week in weeks), name
        first, last = (np.array(week[name].drop_null().to_pylist(), dtype=float) for week in weeks)
        for share in (0.1, 0.5, 0.9):
            assert np.quantile(first, share) == pytest.approx(np.quantile(last, share), rel=0.1), (name, share)


@pytest.mark.parametrize("setting", ["drift_from", "fraud_change_from"])
def test_a_change_does_not_alter_rows_before_its_date(spec, table, setting):
    begin = spec.start + timedelta(days=20)
    later = simulate(changed(spec, **{setting: begin}))
    at = pa.scalar(np.datetime64(begin, "s"), pa.timestamp("s"))
    before = table.filter(pc.less(table["paid_at"], at))
    assert len(before) > 1000
    assert later.filter(pc.less(later["paid_at"], at)).equals(before)
    assert not later.equals(table)


def test_drift_raises_amounts_and_moves_payments_online_and_abroad(spec, table):
    begin = spec.start + timedelta(days=10)
    at = pa.scalar(np.datetime64(begin, "s"), pa.timestamp("s"))
    drifted = simulate(changed(spec, drift_from=begin))
    was, now = (t.filter(pc.greater_equal(t["paid_at"], at)) for t in (table, drifted))
    assert pc.mean(now["amount"]).as_py() > 1.2 * pc.mean(was["amount"]).as_py()

    def online(t):
        return pc.mean(pc.equal(t["channel"], "online")).as_py()

    def abroad(t):
        return pc.mean(pc.not_equal(t["card_country"], t["merchant_country"])).as_py()

    assert online(now) > online(was) + 0.1
    assert abroad(now) > abroad(was) + 0.08


def test_changed_fraud_looks_like_its_victims(spec):
    settings = {"payments": 40_000, "customers": 1_000, "fraud_rate": 0.02}
    usual = simulate(changed(spec, **settings))
    imitated = simulate(changed(spec, **settings, fraud_change_from=spec.start))

    def ratio(table):
        frauds = table.filter(pc.equal(table["is_fraud"], 1))
        return pc.mean(pc.less(frauds["minutes_since_last"], 60)).as_py(), pc.mean(frauds["new_device"]).as_py()

    assert all(now < 0.6 * was for now, was in zip(ratio(imitated), ratio(usual), strict=True))


@pytest.mark.parametrize("day", [date(2025, 12, 31), date(2026, 2, 5)])
def test_a_change_outside_the_period_is_refused(spec, day):
    with pytest.raises(InputError, match="outside the simulated period"):
        simulate(changed(spec, drift_from=day))


def test_boosting_finds_fraud_well_and_better_than_a_linear_model(spec, preparation):
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    made = simulate(changed(spec, payments=60_000, customers=1_500, merchants=600, fraud_rate=0.02))
    counts = preparation.run(made).filter(pc.is_valid(made["is_fraud"]))
    made = made.filter(pc.is_valid(made["is_fraud"]))
    features = [np.nan_to_num(made[name].to_numpy().astype(float), nan=-1) for name in
                ("amount", "usual_amount", "minutes_since_last")]  # fmt: skip
    features += [counts[name].to_numpy().astype(float) for name in counts.column_names]
    features += [np.array(made["new_device"].fill_null(False).to_pylist(), dtype=float)]
    features += [np.log(features[0]), np.where(features[1] > 0, features[0] / np.maximum(features[1], 0.01), -1)]
    features += [pc.hour(made["paid_at"]).to_numpy()]
    features += [pc.not_equal(made["card_country"], made["merchant_country"]).to_numpy().astype(float)]
    for name in ("channel", "merchant_category"):
        features += [(values(made, name) == value).astype(float) for value in sorted(set(made[name].to_pylist()))]
    x, y = np.column_stack(features), made["is_fraud"].to_numpy()
    cut = len(y) * 2 // 3
    with threadpool_limits(1):  # beside other tests, more threads than cores would wait for each other
        boosting = HistGradientBoostingClassifier(max_iter=60, random_state=7).fit(x[:cut], y[:cut])
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x[:cut], y[:cut])
    good = average_precision_score(y[cut:], boosting.predict_proba(x[cut:])[:, 1])
    plain = average_precision_score(y[cut:], linear.predict_proba(x[cut:])[:, 1])
    assert 0.6 < good < 0.97
    assert plain < good - 0.1
