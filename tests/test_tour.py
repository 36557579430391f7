"""The tour runs and its page shows every stop, with nothing loaded from elsewhere."""

import re

import pytest

from ebm import recipe
from ebm.tour import guide, run


def test_the_tour_stops_at_every_family():
    families = {recipe.family_of(kind) for kind in recipe.all_methods().values()}
    assert {recipe.family_of(recipe.find(stop.method)) for stop in guide.STOPS} == families


@pytest.mark.slow
def test_the_page_shows_surface_curve_and_accuracy_of_every_stop(tmp_path, monkeypatch):
    monkeypatch.setenv("EBM_DATA", str(tmp_path / "none"))  # points and digits
    path = run(tmp_path / "tour", quick=True)
    text = path.read_text()
    assert path.name == "index.html"
    for stop in guide.STOPS:
        name = recipe.find(stop.method).__name__
        section = text.split(f'<section id="{name}">')[1].split("</section>")[0]
        assert section.count("<article>") == 2
        assert section.count("data:image/png;base64,") == 4
        assert "raw pixels" in section
    assert text.count(">trained encoder<") == text.count(">untrained encoder<") > 0
    assert not re.search(r'(src|href)="https?://', text)


def test_the_gallery_draws_what_takes_points_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    import json

    from ebm import recipe
    from ebm.tour import gallery

    chosen = {
        name: recipe.all_methods()[name]
        for name in ("jigsaw", "k-means", "simclr")
        if name in recipe.all_methods()
    }
    monkeypatch.setattr(recipe, "all_methods", lambda: chosen)
    path = gallery.run(tmp_path, quick=True)
    cards = json.loads(path.read_text())
    assert [card["method"] for card in cards] == ["k-means", "simclr"]
    assert [card["pair"] for card in cards] == [False, True]
    assert cards[0]["family"] == "latent"
    picture = tmp_path / "simclr.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    (tmp_path / "k-means.png").unlink()
    before = picture.stat().st_mtime_ns
    gallery.run(tmp_path, quick=True)
    assert (tmp_path / "k-means.png").exists()
    assert picture.stat().st_mtime_ns == before
