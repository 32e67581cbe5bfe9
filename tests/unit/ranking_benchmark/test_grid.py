"""Grids as they are declared, and what is wrong with one in a line."""

from pathlib import Path

import pytest

from components.foundation.errors import InputError
from components.ranking_benchmark.grid import parse_grid, read_grid

SMALL = {
    "benchmark": {"backbones": "sasrec, gru4rec", "variants": "id_only,reland", "ranker_seeds": "0,7"},
    "data_sets": {"a": {"data": {"dataset": "simulator:150"}}, "b": {}},
}


def test_cells_are_whole_for_a_seed_before_the_next_one_begins() -> None:
    names = [cell.name for cell in parse_grid(SMALL).cells()]
    assert names[:3] == ["a/sasrec/id_only/0", "a/sasrec/reland/0", "a/gru4rec/id_only/0"]
    assert names[3:5] == ["a/gru4rec/reland/0", "b/sasrec/id_only/0"]
    assert len(names) == len(set(names)) == 16 and {name[-1] for name in names[8:]} == {"7"}


def test_classic_recommenders_are_run_once_before_everything_else() -> None:
    content = {**SMALL, "benchmark": {**SMALL["benchmark"], "classics": "popularity,item_knn"}}
    cells = list(parse_grid(content).cells())
    assert [cell.name for cell in cells[:4]] == [
        "a/popularity/id_only/0",
        "a/item_knn/id_only/0",
        "b/popularity/id_only/0",
        "b/item_knn/id_only/0",
    ]
    assert len(cells) == 4 + 16 and cells[1].configuration()["model"]["window"] == 10


def test_the_nearest_setting_wins() -> None:
    grid = parse_grid(
        {
            "benchmark": {"backbones": "sasrec,gru4rec", "model": {"dropout": 0.3}, "training": {"epochs": 3}},
            "data_sets": {
                "a": {
                    "ranking": {
                        "model": {"layers": 1},
                        "training": {"epochs": 4},
                        "sasrec": {"model": {"heads": 1}, "training": {"epochs": 5}},
                    }
                }
            },
        }
    )
    (data,) = grid.data_sets
    sasrec, gru4rec = data.rankers["sasrec"], data.rankers["gru4rec"]
    assert (sasrec.model.dropout, sasrec.model.layers, sasrec.model.heads, sasrec.training.epochs) == (0.3, 1, 1, 5)
    assert (gru4rec.model.dropout, gru4rec.model.layers, gru4rec.training.epochs) == (0.3, 1, 4)


def test_a_variant_names_the_features_that_it_is_trained_on() -> None:
    grid = parse_grid(
        {
            "benchmark": {"variants": "item_features,reland,reland@direct", "ranker_seeds": "0"},
            "data_sets": {
                "a": {
                    "seeds": {"seed_fraction": 0.2, "seed_policy": "adaptive"},
                    "environment": {"RELAND_ITEMS_NAME": "films"},
                    "features": {"direct": {"seeds": {"seed_policy": "random"}, "rationales": {"attempts": 1}}},
                }
            },
        }
    )
    assert [(cell.ranker_variant, cell.features) for cell in grid.cells()] == [
        ("item_features", "a"),
        ("reland", "a"),
        ("reland", "a@direct"),
    ]
    (data,) = grid.data_sets
    direct = data.features["direct"]
    assert direct.sections["seeds"] == {"seed_fraction": 0.2, "seed_policy": "random"}
    assert (direct.sections["rationales"], direct.environment) == ({"attempts": 1}, {"RELAND_ITEMS_NAME": "films"})
    assert data.features[""].sections["seeds"]["seed_policy"] == "adaptive"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"benchmarks": {}}, "benchmarks: there is no such name, did you mean benchmark?"),
        ({"benchmark": {"backbone": "sasrec"}}, "benchmark.backbone"),
        ({"benchmark": {"backbones": "sasrek"}}, "benchmark.backbones: backbone 'sasrek': unknown backbone"),
        ({"benchmark": {"variants": "relant"}}, "benchmark.variants: variant 'relant': unknown variant"),
        ({"benchmark": {"classics": "knn"}}, "benchmark.classics: classic 'knn': unknown recommender, expected one of"),
        (
            {"benchmark": {"backbones": "lightgcn"}},
            "data_sets.a.*objective cross_entropy: backbone lightgcn is not trained",
        ),
        (
            {"benchmark": {"backbones": "ngcf", "variants": "late_text"}},
            "benchmark.variants: variant late_text: reads the",
        ),
        ({"benchmark": {"protocols": "open,closed"}}, "benchmark.protocols: protocol 'closed': unknown protocol"),
        ({"benchmark": {"ranker_seeds": "0,-1"}}, "benchmark.ranker_seeds: seed '-1': expected a whole number"),
        ({"benchmark": {"ranker_seeds": "0,0"}}, "benchmark.ranker_seeds: '0,0' names one twice"),
        ({"benchmark": {"variants": " , "}}, "benchmark.variants: none is named"),
        ({"benchmark": {"variants": "reland@no"}}, r"variants: reland@no: there is no \[data_sets.a.features.no\]"),
        ({"data_sets": {"a": {"features": {"b": {"ranking": {}}}}}}, "a.features.b.ranking: there is no such name"),
        ({"data_sets": {}}, r"data_sets: none is there, expected a table \[data_sets.NAME\] for each"),
        ({"data_sets": {"a b": {}}}, "data_sets.a b: a name of a data set has no slash, no space and no @"),
        ({"data_sets": {"a": 3}}, "data_sets.a: expected a table"),
        (
            {"data_sets": {"a": {"rationale": {}}}},
            "data_sets.a.rationale: there is no such name, did you mean rational",
        ),
        ({"data_sets": {"a": {"ranking": {"gru4rec": {}}}}}, "data_sets.a.ranking.gru4rec: there is no such name"),
        ({"data_sets": {"a": {"ranking": {"training": {"epoch": 3}}}}}, "data_sets.a.*epoch"),
        ({"data_sets": {"a": {"ranking": {"training": {"epochs": 0}}}}}, "data_sets.a.*epochs 0: expected a whole"),
        ({"data_sets": {"a": {"ranking": {"training": 3}}}}, "data_sets.a.ranking.training: expected a table"),
        ({"data_sets": {"a": {"environment": {"X": [1]}}}}, "data_sets.a.environment.X: expected text"),
    ],
)
def test_a_fault_is_one_line(content: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_grid({"data_sets": {"a": {}}} | content)
    assert "\n" not in str(caught.value)


def test_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text("[benchmark]\nbackbones = 'sasrek'\n[data_sets.a]\n")
    with pytest.raises(InputError, match=r"grid\.toml: benchmark\.backbones"):
        read_grid(tmp_path / "grid.toml")


@pytest.mark.parametrize("path", sorted(Path("docs/grids").glob("*.toml")), ids=lambda path: path.stem)
def test_the_grids_of_the_documentation_are_read(path: Path) -> None:
    assert list(read_grid(path).cells())
