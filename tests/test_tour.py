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
