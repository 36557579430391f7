"""The explorer: what the page carries, and what it does in a real browser."""

import base64
import contextlib
import re
import sys

import numpy as np
import pytest
import torch

import ebm
from ebm.benchmark import explorer as table
from ebm.landscape.explorer import encode, source

TILTED = ebm.energies.DoubleWell() + ebm.energies.Gaussian(
    torch.tensor([0.5, 0.3]), torch.tensor([[2.0, 0.6], [0.6, 0.8]])
)


@pytest.fixture(scope="module")
def chromium():
    """A real browser, or a skip that says why there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if table.chromium() is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=table.chromium(), args=list(table.FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, tmp_path):
    """Open explorers without a network; nothing may be written to the console or be asked for."""
    said, asked, contexts = [], [], []

    def open_(view, text="", *, size=(1200, 900), scheme="light", still=True):
        path = view.save(tmp_path / "page.html")
        motion = "reduce" if still else "no-preference"
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            reduced_motion=motion,
        )
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{path.as_uri()}{text}")
        page.wait_for_function("explorer.explorer && !explorer.explorer.unpainted")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("file:")] == []


def call(page, expression):
    """Return what the page's explorer answers."""
    return page.evaluate(f"explorer.explorer.{expression}")


def picture(page, part=".ebm-map .ebm-picture"):
    """Draw what is due, and return the pixels of a canvas."""
    page.evaluate("new Promise((done) => setTimeout(() => requestAnimationFrame(done), 30))")
    return page.eval_on_selector(part, "(canvas) => canvas.toDataURL()")


def film_of(energies, view):
    values = np.stack([ebm.landscape.grid(e, view.bounds, len(view.x)).values for e in energies])
    steps = np.arange(len(values)) * 10
    return ebm.landscape.Frames(view.x, view.y, steps, values, view.bounds, view.high, None)


# What the page carries


def test_terms_add_up_to_the_energy_and_set_the_scale():
    energy = ebm.energies.Ring() + 0.5 * ebm.energies.Quadratic()
    view = ebm.landscape.explorer(energy, bounds=(-2, 2), resolution=21)
    assert list(view.terms["Energy"]) == ["ring", "quadratic"]
    whole = ebm.landscape.grid(energy, (-2, 2), 21).values
    np.testing.assert_allclose(sum(view.terms["Energy"].values()), whole, atol=1e-6)
    assert 0 < view.high <= np.ptp(whole)


def test_energies_of_a_film_are_kept_in_sixteen_bits():
    values = np.random.default_rng(0).normal(size=(3, 5, 4)) * 7
    values[1, 2, 3] = np.inf
    kept = encode.film(values, high=10.0)
    whole = np.frombuffer(base64.b64decode(kept["values"]), "<u2").reshape(values.shape)
    assert whole[1, 2, 3] == encode.MASKED
    assert np.count_nonzero(whole == encode.MASKED) == 1
    unit = (kept["high"] - kept["low"]) / (encode.MASKED - 1)
    finite = np.isfinite(values)
    read = kept["low"] + unit * whole
    np.testing.assert_allclose(read[finite], values[finite], atol=0.501 * unit)
    assert unit < 1e-3


def test_a_spike_does_not_cost_the_wells_their_steps():
    values = np.zeros((2, 4, 4))
    values[0, 0] = [0.0, 0.1, 0.2, 1e9]
    kept = encode.film(values, high=1.0)
    assert (kept["low"], kept["high"]) == (0.0, pytest.approx(encode.REACH))


def test_a_page_of_sixty_frames_is_small_and_complete(tmp_path):
    view = ebm.landscape.explorer(ebm.energies.Ring() + ebm.energies.Quadratic(), bounds=(-3, 3))
    film = film_of([ebm.energies.Ring()] * 60, view)
    values = film.values * np.linspace(0.1, 1, 60)[:, None, None]
    film = ebm.landscape.Frames(view.x, view.y, film.steps, values, film.bounds, film.high, None)
    whole = ebm.landscape.explorer(
        ebm.energies.Ring() + ebm.energies.Quadratic(), bounds=(-3, 3), film=film
    )
    path = whole.save(tmp_path / "deep" / "page.html")
    text = path.read_text(encoding="utf-8")
    assert len(whole.page()["runs"][0]["frames"]["steps"]) == 60
    assert path.stat().st_size < 3_000_000
    assert not re.findall(r"https?://|<link|<script[^>]+src|@import|url\(", text)


def test_names_cannot_break_out_of_the_page():
    hostile = "</script><script>alert(1)</script>"
    view = ebm.landscape.explorer(ebm.energies.Ring(), title=hostile)
    text = source.document(view.page(), hostile)
    assert text.count("<script") == 2
    assert "<title>&lt;/script" in text


def test_the_modules_share_one_scope_without_a_clash():
    names = re.findall(
        r"^(?:export )?(?:const|let|class|function|async function) (\w+)",
        source.script(),
        re.MULTILINE,
    )
    assert len(names) == len(set(names)) > 50
    assert not re.search(r"^import ", source.script(), re.MULTILINE)
    assert source.script().count("export default") == 1


def test_every_module_comes_after_those_that_it_imports():
    seen = set()
    for name in source.MODULES:
        text = source._read(f"{name}.js")
        imports = set(re.findall(r'^import [^;]*from "\./(\w+)\.js";', text, re.MULTILINE))
        assert imports <= seen, name
        seen.add(name)


def test_frames_of_another_grid_are_brought_onto_this_one():
    view = ebm.landscape.explorer(ebm.energies.Quadratic(), bounds=(-2, 2), resolution=9)
    plane = np.add.outer(view.y, 2 * view.x)
    film = ebm.landscape.Frames(view.x, view.y, np.array([0]), plane[None], view.bounds, 1.0, None)
    x, y = np.linspace(-3, 1, 7), np.linspace(-1, 2, 5)
    moved = film.on(x, y)
    inside = x >= -2
    np.testing.assert_allclose(
        moved.values[0][:, inside], np.add.outer(y, 2 * x)[:, inside], atol=1e-12
    )
    assert np.isnan(moved.values[0][:, ~inside]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"film": {"other": None}}, "film must be of the energies"),
        ({"resolution": 3}, "resolution must be"),
        ({"bounds": (1, 0)}, "bounds must be"),
    ],
)
def test_wrong_options_are_refused(options, message, untyped):
    with pytest.raises(ValueError, match=message):
        ebm.landscape.explorer(ebm.energies.Ring(), **options)


def test_several_energies_of_images_are_refused():
    both = {"a": ebm.energies.MLP(64), "b": ebm.energies.MLP(64)}
    with pytest.raises(ValueError, match="Explore one at a time"):
        ebm.landscape.explorer(both, torch.rand(3, 8, 8))


# In the browser


def test_a_dropped_particle_reaches_the_minimum_of_its_basin(opened):
    himmelblau = ebm.energies.Himmelblau()
    page = opened(ebm.landscape.explorer(himmelblau, bounds=(-5, 5)), "#temperature=0&step=0.002")
    box = page.locator(".ebm-map .ebm-overlay").bounding_box()
    for x, y in ((1.5, 3.5), (-1.8, 1.5), (-2.5, -4.2), (4.5, -0.8)):
        page.mouse.click(
            box["x"] + (x + 5) / 10 * box["width"], box["y"] + (5 - y) / 10 * box["height"]
        )
    assert len(call(page, "particles()")) == 4
    call(page, "advance(4000)")
    found = torch.tensor(call(page, "particles()"), dtype=torch.float64)
    minima = torch.as_tensor(himmelblau.minima, dtype=torch.float64)
    nearest = torch.cdist(found, minima).min(1)
    assert nearest.values.max() < 0.02
    expected = torch.cdist(
        torch.tensor(
            [[3.0, 2.0], [-2.805118, 3.131312], [-3.779310, -3.283186], [3.584428, -1.848126]],
            dtype=torch.float64,
        ),
        minima,
    ).argmin(1)
    assert nearest.indices.tolist() == expected.tolist()
    page.evaluate("explorer.explorer.rest()")
    assert "At rest: the last particle at (3.58, \u22121.85)" in page.inner_text(".ebm-status")


def test_a_click_on_the_surface_drops_a_particle_where_it_is_seen(opened):
    page = opened(ebm.landscape.explorer(ebm.energies.Quadratic(), bounds=(-1, 1)))
    where = page.evaluate(
        """() => {
          const stage = explorer.explorer.stages[0];
          return Array.from(stage.surface.place(stage.run.surface, 0.4, -0.3)).slice(0, 2);
        }"""
    )
    page.locator(".ebm-solid .ebm-overlay").click(position={"x": where[0], "y": where[1]})
    ((x, y),) = call(page, "particles()")
    assert abs(x - 0.4) < 0.05
    assert abs(y + 0.3) < 0.05


def test_the_gradient_is_that_of_the_interpolated_energy(opened):
    page = opened(ebm.landscape.explorer(TILTED, bounds=(-2.5, 2.5), resolution=40))
    worst = page.evaluate(
        """() => {
          const { surface } = explorer.explorer.runs[0];
          const look = (x, y) => {
            const out = new Float64Array(3);
            surface.look(x, y, out);
            return out;
          };
          let worst = 0;
          for (let k = 0; k < 400; k++) {
            const [x, y] = [0.618, 0.414].map((step) => -2.4 + 4.8 * ((k * step) % 1));
            const [, dx, dy] = look(x, y);
            const across = look(x + 1e-5, y)[0] - look(x - 1e-5, y)[0];
            const up = look(x, y + 1e-5)[0] - look(x, y - 1e-5)[0];
            worst = Math.max(worst, Math.abs(across / 2e-5 - dx), Math.abs(up / 2e-5 - dy));
          }
          return worst;
        }"""
    )
    assert worst < 1e-3
    point = torch.tensor([[0.37, -0.81]])
    assert call(page, "energyAt(0.37, -0.81)") == pytest.approx(float(TILTED(point)), abs=2e-3)


def stationary(energy, bounds, step_size, cells, *, temperature=1.0, fine=64, rounds=400):
    """Return the law of Langevin with this step, reflected at the box, by iterating its kernel."""
    low, high = bounds
    edges = torch.linspace(low, high, fine + 1, dtype=torch.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    x = torch.stack(torch.meshgrid(middle, middle, indexing="xy"), -1).reshape(-1, 2)
    mean = x + step_size * ebm.score(energy.double(), x)
    width = (2 * step_size * temperature) ** 0.5
    span = high - low

    def landed(centers):
        found = torch.zeros(len(centers), fine, dtype=torch.float64)
        for shift in (-2 * span, 0.0, 2 * span):
            for sign in (1, -1):
                images = (edges if sign == 1 else 2 * low - edges) + shift
                heights = torch.special.ndtr((images - centers[:, None]) / width)
                found += (heights[:, 1:] - heights[:, :-1]).abs()
        return found

    along, up = landed(mean[:, 0]), landed(mean[:, 1])
    law = torch.softmax(-energy(x).detach() / temperature, 0)
    for _ in range(rounds):
        before, law = law, ((up * law[:, None]).T @ along).reshape(-1)
        if float((law - before).abs().sum()) < 1e-4:
            break
    part = fine // cells
    return law.reshape(cells, part, cells, part).sum((1, 3))


def boltzmann(energy, bounds, cells, *, temperature=1.0):
    grid = ebm.landscape.density(
        energy, bounds, resolution=cells * 12, temperature=temperature
    ).values
    mass = torch.as_tensor(np.asarray(grid, dtype=np.float64))
    return (mass / mass.sum()).reshape(cells, 12, cells, 12).sum((1, 3))


@pytest.mark.parametrize(
    ("sampler", "options", "moves"),
    [("langevin", "step=0.06", 400), ("mala", "step=0.08", 400), ("hmc", "leap=0.1", 300)],
)
def test_two_thousand_particles_have_the_law_of_their_sampler(opened, sampler, options, moves):
    page = opened(
        ebm.landscape.explorer(TILTED, bounds=(-2.5, 2.5)),
        f"#scattered=2000&sampler={sampler}&{options}&playing=0&seed=3",
    )
    call(page, f"advance({moves})")
    exact = boltzmann(TILTED, (-2.5, 2.5), 16)
    law = stationary(TILTED, (-2.5, 2.5), 0.06, 16) if sampler == "langevin" else exact
    found = square(call(page, "histogram(16)"))
    assert apart(found, law) < 0.05, (apart(found, law), apart(found, exact))
    x, y = torch.tensor(call(page, "particles()"), dtype=torch.float64).T
    cells = [((v + 2.5) / 5 * 8).floor().clamp(0, 7).long() for v in (x, y)]
    now = torch.bincount(8 * cells[1] + cells[0], minlength=64).double().reshape(8, 8) / len(x)
    assert apart(now, law.reshape(8, 2, 8, 2).sum((1, 3))) < 0.1
    if sampler == "langevin":  # its bias is seen, and is not mistaken for noise
        assert apart(law, exact) > 0.06
        assert apart(found, exact) > 0.06
    assert apart(square(call(page, "law(16)")), exact) < 0.01


def apart(a, b):
    return float((a - b).abs().sum() / 2)


def square(values):
    side = round(len(values) ** 0.5)
    return torch.tensor(values, dtype=torch.float64).reshape(side, side)


def test_without_a_temperature_nothing_diffuses(opened):
    page = opened(
        ebm.landscape.explorer(ebm.energies.Quadratic(), bounds=(-1, 1)), "#temperature=0"
    )
    for sampler in ("langevin", "mala", "hmc"):
        page.evaluate(
            f"explorer.explorer.set({{ sampler: '{sampler}', drops: [0.8, -0.6], step: 0.1 }})"
        )
        call(page, "advance(1)")
        ((x, y),) = call(page, "particles()")
        assert x == pytest.approx(0.8 * 0.9, abs=1e-6)
        assert y == pytest.approx(-0.6 * 0.9, abs=1e-6)


def test_particles_stay_off_masked_places_and_in_the_box(opened):
    def energy(x):
        hole = (x[:, 0].abs() < 0.5) & (x[:, 1].abs() < 0.5)
        return torch.where(hole, torch.inf, 0 * x[:, 0])

    page = opened(
        ebm.landscape.explorer(energy, bounds=(-2, 2)), "#scattered=500&step=0.05&playing=0"
    )
    for sampler in ("langevin", "mala", "hmc"):
        page.evaluate(f"explorer.explorer.set({{ sampler: '{sampler}' }})")
        call(page, "advance(50)")
        found = np.array(call(page, "particles()"))
        assert 400 < len(found) < 500
        assert np.abs(found).max() <= 2
        assert not (np.abs(found) < 0.45).all(1).any()
    page.evaluate("explorer.explorer.drop(0, 0)")
    assert "not finite" in page.inner_text(".ebm-status")


def slide(page, label, key, times):
    slider = page.get_by_label(label, exact=True)
    slider.focus()
    for _ in range(times):
        page.keyboard.press(key)


def test_sliders_change_the_surface(opened):
    energy = ebm.energies.Ring() + ebm.energies.Quadratic()
    view = ebm.landscape.explorer(energy, bounds=(-2, 2), resolution=40)
    film = film_of([ebm.energies.DoubleWell(), ebm.energies.Quadratic(), energy], view)
    page = opened(ebm.landscape.explorer(energy, bounds=(-2, 2), resolution=40, film=film))
    before = picture(page), picture(page, ".ebm-solid .ebm-picture")
    for label, key in (
        ("Temperature", "ArrowLeft"),
        ("Step size", "End"),
        ("ring", "ArrowRight"),
        ("Training step", "ArrowLeft"),
    ):
        slide(page, label, key, 20 if key != "ArrowLeft" else 8)
        after = picture(page), picture(page, ".ebm-solid .ebm-picture")
        assert after[0] != before[0], label
        if label != "Step size":
            assert after[1] != before[1], label
        before = after
    assert page.get_by_label("ring", exact=True).is_disabled()
    slide(page, "Training step", "End", 1)
    point = torch.tensor([[0.9, 0.6]])
    expected = float(2 * ebm.energies.Ring()(point) + ebm.energies.Quadratic()(point))
    assert call(page, "energyAt(0.9, 0.6)") == pytest.approx(expected, rel=0.02)


def test_the_frames_of_training_are_the_energies_that_were_recorded(opened):
    view = ebm.landscape.explorer(ebm.energies.Ring(), bounds=(-2, 2))
    stages = [ebm.energies.Quadratic(), ebm.energies.DoubleWell(), ebm.energies.Ring()]
    view = ebm.landscape.explorer(ebm.energies.Ring(), bounds=(-2, 2), film=film_of(stages, view))
    page = opened(view)
    point = torch.tensor([[0.7, 0.3]])
    for frame, energy in enumerate(stages):
        page.evaluate(f"explorer.explorer.set({{ frame: {frame} }})")
        assert call(page, "energyAt(0.7, 0.3)") == pytest.approx(float(energy(point)), abs=5e-3)
        assert page.get_by_label("Training step").get_attribute("aria-valuetext") == f"{10 * frame}"


def test_the_address_restores_the_state(opened):
    view = ebm.landscape.explorer(
        ebm.energies.Ring() + ebm.energies.Quadratic(), bounds=(-2, 2), resolution=40
    )
    page = opened(view)
    page.get_by_text("MALA", exact=True).click()
    page.get_by_text("Density", exact=True).click()
    page.get_by_text("Dark", exact=True).click()
    slide(page, "Temperature", "ArrowLeft", 9)
    slide(page, "quadratic", "ArrowRight", 4)
    page.locator(".ebm-solid .ebm-overlay").focus()
    page.keyboard.press("ArrowLeft")
    page.locator(".ebm-map .ebm-overlay").click(position={"x": 100, "y": 120})
    page.mouse.move(5, 5)
    page.wait_for_function("location.hash.includes('drops=')")
    text = page.evaluate("location.hash")
    again = opened(view, text)
    assert call(again, "state") == call(page, "state")
    assert call(page, "state")["sampler"] == "mala"
    assert call(page, "state")["theme"] == "dark"
    assert call(page, "state")["temperature"] < 1
    assert call(again, "particles()") == pytest.approx(
        np.array(call(page, "particles()")), abs=1e-3
    )
    settled = "new Promise((done) => setTimeout(done, 250))"
    page.evaluate(settled), again.evaluate(settled)
    for part in (".ebm-map .ebm-picture", ".ebm-solid .ebm-picture"):
        assert picture(again, part) == picture(page, part)


def test_nonsense_in_the_address_is_passed_over(opened):
    text = "#temperature=hot&sampler=magic&frame=-5&turn=1e9&weights=a,b&x=1&__proto__=1&zoom"
    page = opened(ebm.landscape.explorer(ebm.energies.Ring(), bounds=(-2, 2)), text)
    state = call(page, "state")
    assert (state["temperature"], state["sampler"], state["frame"]) == (1, "langevin", -1)
    assert state["turn"] == 360
    assert state["weights"] == []


def test_it_works_from_the_keyboard_and_speaks(opened):
    page = opened(ebm.landscape.explorer(ebm.energies.DoubleWell(), bounds=(-2, 2)))
    page.locator(".ebm-map .ebm-overlay").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert re.search(r"x 0\.08, y 0\.4, E", page.inner_text(".ebm-status"))
    page.keyboard.press("Enter")
    assert "Particle 1 dropped at (0.08, 0.4)" in page.inner_text(".ebm-status")
    page.keyboard.press("Home")
    x, _ = call(page, "state.cursor")
    assert abs(abs(x) - 1.5) < 0.05
    turn = call(page, "state.turn")
    page.locator(".ebm-solid .ebm-overlay").focus()
    page.keyboard.press("ArrowRight")
    assert call(page, "state.turn") == turn + 6
    unnamed = page.evaluate(
        """() => {
          const named = (e) =>
            e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim();
          const found = [...document.querySelectorAll("button, input, [tabindex], [role=img]")];
          return found.filter((e) => !named(e)).map((e) => e.outerHTML);
        }"""
    )
    assert unnamed == []
    assert page.locator("[aria-live=polite]").count() == 1
    order = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((h) => h.tagName)")
    assert order[0] == "H1"


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(opened, width, scheme):
    both = {"a": ebm.energies.Ring(), "b": ebm.energies.DoubleWell()}
    views = [
        ebm.landscape.explorer(both, bounds=(-2, 2), title="Two energies"),
        ebm.landscape.explorer(ebm.energies.Ring() + ebm.energies.Quadratic(), bounds=(-2, 2)),
    ]
    for view in views:
        page = opened(view, size=(width, 700), scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("explorer.dataset.theme") == scheme
        small = page.evaluate(
            "[...document.querySelectorAll('button')].filter((b) => b.offsetHeight < 32).length"
        )
        assert small == 0


def test_two_runs_share_particles_scale_and_controls(opened):
    both = {"ring": ebm.energies.Ring(), "wells": ebm.energies.DoubleWell()}
    page = opened(ebm.landscape.explorer(both, bounds=(-2, 2)), "#temperature=0&step=0.02")
    assert page.locator(".ebm-map").count() == 2
    page.locator(".ebm-map .ebm-overlay").first.click(position={"x": 120, "y": 90})
    call(page, "advance(2000)")
    (ring,), (wells,) = call(page, "particles(0)"), call(page, "particles(1)")
    ends = [float(e(torch.tensor([p]))) for e, p in zip(both.values(), (ring, wells), strict=True)]
    assert max(ends) < 1e-3
    assert ring != wells


def test_images_have_a_picture_at_every_place_and_chains_to_scrub(opened):
    torch.manual_seed(0)
    x = torch.rand(6, 1, 8, 8)
    energy = ebm.energies.MLP(64)
    chain = ebm.samplers.chain(ebm.samplers.Langevin(0.01), energy, x[:3], 12, progress=False)
    view = ebm.landscape.explorer(energy, x, chain=chain, resolution=20)
    page = opened(view, "#playing=0")
    assert page.get_by_role("button", name=re.compile("Go to image")).count() == 3
    page.get_by_role("button", name="Go to image b").click()
    pixels = page.evaluate(
        """() => {
          const context = explorer.explorer.pictures.canvas.getContext("2d");
          const { data } = context.getImageData(0, 0, 8, 8);
          return Array.from(data).filter((_, k) => k % 4 === 0);
        }"""
    )
    low, high = float(view.plane.corners.min()), float(view.plane.corners.max())
    expected = 255 * (x[1].flatten().numpy() - low) / (high - low)
    np.testing.assert_allclose(pixels, expected, atol=1.5)
    assert call(page, "energyAt(...explorer.explorer.state.cursor)") == pytest.approx(
        energy(x[1:2]).item(), abs=0.02 * view.high + 1e-3
    )
    shown = picture(page, ".ebm-chain .ebm-pixels")
    slide(page, "Record of the chain", "End", 1)
    assert picture(page, ".ebm-chain .ebm-pixels") != shown
    assert call(page, "state.record") == 11


def test_it_plays_by_itself_and_reports_its_frames(opened):
    page = opened(
        ebm.landscape.explorer(TILTED, bounds=(-2.5, 2.5)), "#scattered=2000", still=False
    )
    page.wait_for_timeout(700)
    assert call(page, "runs[0].particles.moves") > 10
    assert call(page, "framesPerSecond()") > 5
    page.get_by_role("button", name="Pause").click()
    moves = call(page, "runs[0].particles.moves")
    page.wait_for_timeout(100)
    assert call(page, "runs[0].particles.moves") == moves


def test_the_table_of_frames_is_measured_in_the_browser(chromium, monkeypatch, capsys):
    monkeypatch.setattr(table, "SAMPLERS", {"mala": "step=0.05"})
    monkeypatch.setattr(table, "browser", lambda: contextlib.nullcontext(chromium))
    (row,) = table.run(quick=True)
    assert (row.sampler, row.particles) == ("mala", 200)
    assert row.frames_per_second > 1
    assert 0 < row.script_milliseconds < 1_000
    assert row.distance < 0.2
    table.print_table([row])
    assert "frames/s" in capsys.readouterr().out


def test_without_a_browser_the_table_says_how_to_get_one(monkeypatch):
    pytest.importorskip("playwright")
    monkeypatch.setattr(table, "chromium", lambda: None)
    with pytest.raises(ValueError, match="apt-get install chromium"), table.browser():
        pass
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(ImportError, match="pip install playwright"), table.browser():
        pass


# In a notebook


def test_the_widget_runs_the_same_script(chromium, tmp_path):
    anywidget = pytest.importorskip("anywidget")
    view = ebm.landscape.explorer(ebm.energies.Ring(), bounds=(-2, 2), resolution=20)
    made = view.widget()
    assert isinstance(made, anywidget.AnyWidget)
    (tmp_path / "widget.html").write_text("<div id=place></div>")
    page = chromium.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "widget.html").as_uri())
    page.evaluate(
        """async ([script, data]) => {
          const blob = new Blob([script], { type: "text/javascript" });
          const widget = (await import(URL.createObjectURL(blob))).default;
          const values = { page: data, state: "temperature=0.5" };
          const listeners = {};
          window.model = {
            get: (name) => values[name],
            set: (name, value) => (values[name] = value),
            save_changes: () => (window.saved = values.state),
            on: (name, f) => (listeners[name] = f),
            off: (name) => delete listeners[name],
          };
          window.listeners = listeners;
          const el = document.getElementById("place");
          window.close_ = widget.render({ model: window.model, el });
        }""",
        [str(made._esm), made.page],
    )
    assert page.evaluate("place.explorer.state.temperature") == 0.5
    page.evaluate("model.set('state', 'temperature=2'); listeners['change:state']()")
    assert page.evaluate("place.explorer.state.temperature") == 2
    page.evaluate("place.explorer.set({ view: 'density' })")
    page.wait_for_function("window.saved?.includes('view=density')")
    page.evaluate("close_()")
    assert page.evaluate("Object.keys(listeners).length") == 0
    page.close()
    assert errors == []


def test_without_anywidget_the_widget_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    view = ebm.landscape.explorer(ebm.energies.Ring(), bounds=(-2, 2), resolution=20)
    with pytest.raises(ImportError, match=r"pip install 'ebm-framework\[notebook\]'"):
        view.widget()


def test_a_cell_shows_the_page_in_a_frame_that_grows_with_it(chromium, tmp_path):
    view = ebm.landscape.explorer(ebm.energies.Ring(), bounds=(-2, 2), resolution=20)
    text = view._repr_html_()
    (tmp_path / "outer.html").write_text(f"<!doctype html><body>{text}</body>", encoding="utf-8")
    page = chromium.new_page(viewport={"width": 700, "height": 600})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "outer.html").as_uri())
    frame = page.frame_locator("iframe")
    frame.locator(".ebm-map").wait_for()
    inside = frame.locator(".ebm-body").evaluate("(body) => body.offsetHeight")
    page.wait_for_function(
        f"Math.abs(document.querySelector('iframe').offsetHeight - {inside}) < 60"
    )
    page.close()
    assert errors == []
    assert text.startswith("<iframe srcdoc=")
    assert text.count('"') == 8  # those of the page are escaped
