from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from kmemscope.observe.slab_names import merged_names

NAMES = st.text("abc-0", min_size=1, max_size=4)


def slab_folder(folder: Path, groups: dict[str, list[str]]) -> Path:
    """/sys/kernel/slab as the kernel lays it out: a folder for each set of slabs, and a link for each other name."""
    folder.mkdir()
    for own, aliases in groups.items():
        (folder / own).mkdir()
        for alias in aliases:
            (folder / alias).symlink_to(own)
    return folder


def test_a_name_leads_to_all_that_share_its_slabs(tmp_path: Path) -> None:
    folder = slab_folder(tmp_path / "slab", {":0000128": ["pid", "eventpoll_epi"], "dentry": [], "task": ["process"]})

    assert merged_names(folder) == {
        "pid": ("eventpoll_epi", "pid"),
        "eventpoll_epi": ("eventpoll_epi", "pid"),
        "dentry": ("dentry",),
        "task": ("process", "task"),
        "process": ("process", "task"),
    }


def test_a_kernel_without_the_folder_merges_nothing_that_we_know(tmp_path: Path) -> None:
    assert merged_names(tmp_path / "none") == {}


def test_the_kernel_here_has_every_cache_in_exactly_one_group() -> None:
    names = merged_names()

    for name, group in names.items():
        assert name in group
        assert all(names[other] == group for other in group)
        assert list(group) == sorted(set(group))


@given(st.dictionaries(NAMES, st.sampled_from(["", ":1", ":2"]), max_size=8))
def test_groups_are_what_was_laid_out(layout: dict[str, str]) -> None:
    with TemporaryDirectory() as scratch:
        groups = {own: [name for name, where in layout.items() if where == own] for own in (":1", ":2")}
        alone = {name: [] for name, where in layout.items() if not where}
        found = merged_names(slab_folder(Path(scratch) / "slab", groups | alone))

    expected = {name: tuple(sorted(groups[where])) if where else (name,) for name, where in layout.items()}
    assert found == expected
