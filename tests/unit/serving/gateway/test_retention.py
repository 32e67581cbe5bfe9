from serving.gateway.retention import remove_old_files

DAY = 86_400 * 1_000_000


def test_files_are_removed_by_the_time_in_their_names_and_others_stay(tmp_path):
    folders = [tmp_path / "events", tmp_path / "exposures", tmp_path / "none yet"]
    for folder in folders[:2]:
        folder.mkdir()
        for day in (1, 5, 9):
            (folder / f"{day * DAY:020d}-7-000000.parquet").touch()
        (folder / "copied by hand.parquet").touch()
    assert remove_old_files(folders, 4.0, now=9 * DAY) == 2
    left = {path.name for path in folders[0].iterdir()}
    assert left == {f"{day * DAY:020d}-7-000000.parquet" for day in (5, 9)} | {"copied by hand.parquet"}
