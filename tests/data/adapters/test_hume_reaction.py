"""Both layouts of Hume-Reaction: what is read, what is tolerated, and what is refused with file, line and way out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eri.config.tasks import ERI
from eri.data import load_clips
from eri.utils.errors import DataError
from tests.factories.challenge import (
    ABAW5_HEADER,
    Entry,
    abaw5_cells,
    make_entries,
    touch,
    write_abaw5,
    write_muse,
    write_table,
)

Rows = list[list[str]]


@pytest.fixture
def abaw5_rows(tmp_path: Path) -> Callable[[Callable[[Rows], object]], Path]:
    """Write a data_info.csv of ten rows after a change to its cells (row 0 is the header)."""

    def write(change: Callable[[Rows], object]) -> Path:
        rows = [list(ABAW5_HEADER), *map(abaw5_cells, make_entries(shuffle=False))]
        change(rows)
        write_table(tmp_path / "data_info.csv", rows)
        return tmp_path

    return write


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_clips(folder)
    assert caught.value.hint, "an error about data says the way out"
    return str(caught.value)


def set_cell(row: int, column: int, text: str) -> Callable[[Rows], object]:
    return lambda rows: rows[row].__setitem__(column, text)


class TestAbaw5:
    def test_clips_come_with_split_labels_and_media(self, tmp_path):
        entries = make_entries(seed=3)
        table = load_clips(write_abaw5(tmp_path, entries, video=touch, audio=touch))
        assert (table.name, table.task, table.id_column, table.root) == ("hume-reaction", ERI, "File_ID", tmp_path)
        assert [clip.id for clip in table] == sorted(entry.id for entry in entries)
        for entry in entries:
            clip = table[entry.id]
            assert (clip.split, clip.labels, clip.group) == (entry.split, entry.labels, None)
            assert clip.video == tmp_path / entry.split / "mp4" / f"{entry.id}.mp4"
            assert clip.audio == tmp_path / entry.split / "wav" / f"{entry.id}.wav"

    def test_a_video_that_is_not_there_yet_has_its_expected_path_and_no_audio_file(self, tmp_path):
        clip = load_clips(write_abaw5(tmp_path))["00000"]
        assert clip.video == tmp_path / clip.split / "mp4" / "00000.mp4"
        assert clip.audio is None
        assert clip.audio_source == clip.video

    def test_folders_and_suffixes_of_another_case_or_container_are_found(self, tmp_path):
        write_abaw5(tmp_path, [Entry("00000", "train", (0.5,) * 7), Entry("00001", "test", None)])
        for name in ("Train/MP4/00000.MOV", "Train/WAV/00000.flac", "test/mp4/00001.mp4", "test/mp4/00001.avi"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        table = load_clips(tmp_path)
        assert table["00000"].video == tmp_path / "Train/MP4/00000.MOV"
        assert table["00000"].audio == tmp_path / "Train/WAV/00000.flac"
        assert table["00001"].video == tmp_path / "test/mp4/00001.mp4"

    def test_labelled_test_rows_keep_their_labels(self, tmp_path):
        write_abaw5(tmp_path, [Entry("00000", "train", (0.5,) * 7), Entry("00001", "test", (0.25,) * 7)])
        assert load_clips(tmp_path)["00001"].labels == (0.25,) * 7

    @pytest.mark.parametrize("word", ["nan", "NaN", "NA", ""])
    def test_words_for_no_value_are_empty_test_labels(self, abaw5_rows, word):
        table = load_clips(abaw5_rows(lambda rows: rows[-1].__setitem__(slice(2, 9), [word] * 7)))
        assert table["00009"].labels is None

    def test_all_zero_labels_are_labels(self, abaw5_rows):
        table = load_clips(abaw5_rows(lambda rows: rows[1].__setitem__(slice(2, 9), ["0"] * 7)))
        assert table["00000"].labels == (0.0,) * 7

    @pytest.mark.parametrize(
        "rewrite",
        [
            lambda data: b"\xef\xbb\xbf" + data,
            lambda data: data.replace(b"\n", b"\r\n"),
            lambda data: data.rstrip(b"\n"),
            lambda data: data + b"\n\n",
            lambda data: b"\n".join(
                b",".join(b'"' + cell + b'"' for cell in row.split(b",")) for row in data.splitlines()
            ),
            lambda data: data.replace(b"Train", b"TRAIN").replace(b"Val", b" val "),
            lambda data: data.replace(b"[", b"").replace(b"]", b""),
            lambda data: data.replace(b"[0000", b"").replace(b"]", b""),
            lambda data: data.replace(b"[0000", b"").replace(b"]", b".0"),
            lambda data: data.replace(b",Age,Country\n", b",Age,Country,Notes\n").replace(b"Africa\n", b"Africa,x\n"),
        ],
        ids=[
            "bom",
            "crlf",
            "no-last-newline",
            "blank-lines",
            "quoted",
            "case",
            "bare-ids",
            "ints",
            "floats",
            "extra-column",
        ],
    )
    def test_harmless_differences_change_nothing(self, tmp_path, rewrite):
        path = write_abaw5(tmp_path) / "data_info.csv"
        expected = load_clips(tmp_path).fingerprint
        path.write_bytes(rewrite(path.read_bytes()))
        assert load_clips(tmp_path).fingerprint == expected

    @pytest.mark.parametrize(
        ("change", "parts"),
        [
            (set_cell(0, 4, "anxiety"), ["line 1", "no column 'Anxiety' (did you mean 'anxiety'?)"]),
            (set_cell(0, 6, "Empathic Pain"), ["no column 'Empathic-Pain' (did you mean 'Empathic Pain'?)"]),
            (
                lambda rows: [row.__delitem__(slice(0, 2)) for row in rows],
                ["no column 'File_ID', 'Split'", "Adoration"],
            ),
            (set_cell(0, 9, "Fear"), ["column 'Fear' is duplicated"]),
            (set_cell(3, 0, "[00000]"), ["line 4: id 00000 is already on line 2"]),
            (set_cell(3, 0, "0"), ["line 4: id 00000 is already on line 2"]),
            (set_cell(3, 0, "../00001"), ["line 4", "'../00001' is not a number of at most 5 digits"]),
            (set_cell(3, 0, "[123456]"), ["line 4", "at most 5 digits"]),
            (set_cell(3, 0, "42.5"), ["line 4", "at most 5 digits"]),
            (set_cell(3, 0, "٤٢"), ["line 4", "at most 5 digits"]),
            (set_cell(3, 0, ""), ["line 4", "id is empty"]),
            (
                set_cell(3, 1, "Trian"),
                ["line 4: clip 00002: Split is 'Trian' (did you mean 'Train'?)", "Train, Val, Test"],
            ),
            (set_cell(3, 1, ""), ["line 4", "Split is ''"]),
            (set_cell(3, 2, "1.5"), ["line 4: clip 00002: Adoration is 1.5, outside [0, 1]"]),
            (set_cell(3, 8, "-0.01"), ["line 4: clip 00002: Surprise is -0.01, outside [0, 1]"]),
            (set_cell(3, 8, "inf"), ["line 4: clip 00002: Surprise is inf, outside [0, 1]"]),
            (set_cell(3, 2, "high"), ["line 4: clip 00002: Adoration is 'high'", "decimal point"]),
            (set_cell(3, 2, '"0,5"'), ["line 4: clip 00002: Adoration is '0,5'", "decimal point"]),
            (set_cell(3, 2, "0,5"), ["line 4: 12 cells, the header has 11"]),
            (set_cell(3, 2, ""), ["line 4: clip 00002: Adoration is empty"]),
            (lambda rows: rows[3].__setitem__(slice(2, 9), [""] * 7), ["line 4: clip 00002: all labels are empty"]),
            (lambda rows: rows[3].__setitem__(slice(2, 9), ["nan"] * 7), ["line 4: clip 00002: all labels are empty"]),
            (set_cell(10, 2, "0.5"), ["line 11", "are empty"]),
            (set_cell(3, 2, '"0.5'), ["line 4", "quoted cell"]),
            (lambda rows: rows.__delitem__(slice(1, None)), ["header but no rows"]),
            (lambda rows: rows[3].pop(), ["line 4: 10 cells, the header has 11"]),
        ],
    )
    def test_bad_tables_are_refused_with_the_line_and_the_way_out(self, abaw5_rows, change, parts):
        message = refusal(abaw5_rows(change))
        assert "data_info.csv" in message
        for part in parts:
            assert part in message

    @pytest.mark.parametrize(
        ("rewrite", "part"),
        [
            (lambda _: b"", "empty"),
            (lambda _: b" \n\n", "empty"),
            (lambda _: b"\xef\xbb\xbf", "empty"),
            (lambda data: data.replace(b",", b";"), "line 1: cells are separated by semicolons"),
            (lambda data: data.replace(b",", b"\t"), "line 1: cells are separated by tabs"),
            (lambda data: data.decode().encode("utf-16"), "UTF-16"),
            (lambda data: data.decode().encode("utf-16-le"), "UTF-16"),
            (lambda data: data.replace(b"South", b"S\xfcd", 1), "line 2: is not UTF-8"),
            (lambda _: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a text file"),
        ],
    )
    def test_files_that_are_no_utf8_csv_are_named_for_what_they_are(self, tmp_path, rewrite, part):
        path = write_abaw5(tmp_path, make_entries(shuffle=False)) / "data_info.csv"
        path.write_bytes(rewrite(path.read_bytes()))
        message = refusal(tmp_path)
        assert part in message
        assert str(path) in message

    def test_all_problems_are_told_at_once_the_first_five_of_each_kind_and_the_count(self, abaw5_rows):
        def spoil(rows: Rows) -> None:
            for row in rows[1:8]:
                row[2] = "1.5"
            rows[8][1] = "Dev"
            rows[9][0] = "[00000]"

        message = refusal(abaw5_rows(spoil))
        assert "labels out of range (7, the first 5):" in message
        assert all(f"line {line}: clip" in message for line in range(2, 7))
        assert "line 7" not in message
        assert "line 9: clip 00007: Split is 'Dev'" in message
        assert "line 10: id 00000 is already on line 2" in message

    def test_line_numbers_are_those_of_the_file(self, tmp_path):
        path = write_abaw5(tmp_path, make_entries(shuffle=False)) / "data_info.csv"
        lines = path.read_text().splitlines()
        lines[2] = lines[2].replace("South Africa", '"South\nAfrica"')
        lines[5:5] = ["", ""]
        lines[7] = lines[7].replace("Val", "Dev")
        path.write_text("\n".join(lines))
        assert "line 9: clip 00004: Split is 'Dev'" in refusal(tmp_path)


class TestMuse:
    @pytest.mark.parametrize("folder", ["c2_muse_reaction", "C2_MuSe_Reaction", "."])
    def test_clips_come_with_split_labels_and_faces(self, tmp_path, folder):
        entries = make_entries(seed=3)
        home = write_muse(
            tmp_path,
            entries,
            folder=folder,
            faces=lambda path, entry: None if entry.id == "00001" else touch(path, entry),
        )
        table = load_clips(tmp_path)
        assert {clip.id: (clip.split, clip.labels) for clip in table} == {
            entry.id: (entry.split, entry.labels) for entry in entries
        }
        assert table["00000"].video == home / "feats" / "Faces" / "00000"
        assert table["00001"].video is None
        assert table["00000"].audio is None

    def test_folder_names_match_in_any_case(self, tmp_path):
        home = write_muse(tmp_path, faces=touch)
        (home / "feats" / "Faces").rename(home / "feats" / "faces")
        (home / "feats").rename(home / "Feats")
        assert load_clips(tmp_path)["00000"].video == home / "Feats" / "faces" / "00000"

    def test_raw_media_win_over_face_pictures(self, tmp_path):
        home = write_muse(tmp_path, faces=touch)
        for name in ("mp4/00000.mp4", "wav/00000.wav", "raw/00001.mov"):
            (home / name).parent.mkdir(exist_ok=True)
            (home / name).touch()
        table = load_clips(tmp_path)
        assert (table["00000"].video, table["00000"].audio) == (home / "mp4/00000.mp4", home / "wav/00000.wav")
        assert table["00001"].video == home / "raw/00001.mov"

    def test_partition_goes_by_position(self, tmp_path):
        home = write_muse(tmp_path)
        path = home / "partition.csv"
        lines = [line.split(",") for line in path.read_text().splitlines()]
        write_table(path, [["id", "subject", "split"], *([first, "7", last] for first, last in lines[1:])])
        assert len(load_clips(tmp_path).split("val")) == 3

    @pytest.mark.parametrize(("lost", "kept"), [("labels.csv", "partition.csv"), ("partition.csv", "labels.csv")])
    def test_a_join_never_loses_a_row(self, tmp_path, lost, kept):
        home = write_muse(tmp_path, make_entries(10, 5, 5, shuffle=False))
        lines = (home / lost).read_text().splitlines()
        (home / lost).write_text("\n".join(lines[:1] + lines[8:]))
        message = refusal(tmp_path)
        assert f"7 clips of {home / kept} not in {home / lost}: 00000, 00001, 00002, 00003, 00004, …" in message

    def test_both_sides_of_a_bad_join_are_told(self, tmp_path):
        home = write_muse(tmp_path)
        path = home / "labels.csv"
        path.write_text(path.read_text().replace("[00003]", "[00033]"))
        message = refusal(tmp_path)
        assert "labels.csv: 00003" in message
        assert "partition.csv: 00033" in message

    def test_an_unknown_partition_is_refused(self, tmp_path):
        home = write_muse(tmp_path, make_entries(shuffle=False))
        path = home / "partition.csv"
        path.write_text(path.read_text().replace("devel", "dev", 1))
        assert "partition.csv, line 6: clip 00004: partition is 'dev'" in refusal(tmp_path)

    @pytest.mark.parametrize(("lost", "kept"), [("labels.csv", "partition.csv"), ("partition.csv", "labels.csv")])
    def test_one_table_without_the_other_is_named(self, tmp_path, lost, kept):
        home = write_muse(tmp_path)
        (home / lost).unlink()
        with pytest.raises(DataError, match=f"has {kept} but no {lost}"):
            load_clips(tmp_path, "hume-reaction")


def test_a_folder_without_the_data_set_says_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"does not hold the data set 'hume-reaction'\n.*data_info\.csv"):
        load_clips(tmp_path, "hume-reaction")


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_abaw5, write_muse])
def test_the_whole_challenge_loads(tmp_path, write):
    write(tmp_path, make_entries(15_806, 4_657, 4_604))
    table = load_clips(tmp_path)
    assert [len(table.split(name)) for name in ("train", "val", "test")] == [15_806, 4_657, 4_604]
