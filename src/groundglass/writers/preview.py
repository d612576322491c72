"""One tidy picture of a result, for a slide or a quick look."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from groundglass.core.results import CaseResult
from groundglass.writers import wording
from groundglass.writers.document import ResultDocument
from groundglass.writers.figures import (
    CONSOLIDATION_RGB,
    GROUND_GLASS_RGB,
    LEFT_RGB,
    RIGHT_RGB,
    Illustrator,
)
from groundglass.writers.report import DISCLAIMER

SLICES, ACROSS = 6, 3
PANEL_PX, GAP_PX, MARGIN_PX, TITLE_PX, FOOT_PX = 320, 10, 24, 92, 64
BACKGROUND, INK, SOFT = (16, 21, 27), (238, 242, 246), (163, 176, 189)


def preview_png(result: CaseResult, document: ResultDocument) -> bytes:
    """Return six slices and a coronal view with the main numbers above them, as PNG.

    Parameters
    ----------
    result : CaseResult
        The scan and its masks.
    document : ResultDocument
        The numbers.
    """
    artist = Illustrator(result)
    chosen = artist.axial_choice(SLICES)
    panels = [(f"slice {i}", artist.axial(i, PANEL_PX).image()) for i in chosen]
    tall = panels[0][1].height
    lines = -(-len(panels) // ACROSS)
    body = lines * tall + (lines - 1) * GAP_PX
    across = min(ACROSS, len(panels))
    left = MARGIN_PX + across * PANEL_PX + (across - 1) * GAP_PX
    side = None
    if result.scan.shape[0] > 2 and result.lungs.sides_known:
        side = artist.coronal(artist.coronal_row(), PANEL_PX * 3 // 2).image()
        side.thumbnail((side.width, body))
    width = max(left + (side.width + GAP_PX if side else 0) + MARGIN_PX, 760)
    page = Image.new("RGB", (width, TITLE_PX + body + FOOT_PX), BACKGROUND)
    draw = ImageDraw.Draw(page)
    _title(draw, document)
    for number, (name, picture) in enumerate(panels):
        x = MARGIN_PX + number % ACROSS * (PANEL_PX + GAP_PX)
        y = TITLE_PX + number // ACROSS * (tall + GAP_PX)
        page.paste(picture, (x, y))
        draw.text((x + 8, y + tall - 22), name, INK, _font(14), stroke_width=2, stroke_fill="black")
    if side:
        page.paste(side, (left + GAP_PX, TITLE_PX))
    _legend(draw, TITLE_PX + body + 12, sides_known=result.lungs.sides_known)
    stream = io.BytesIO()
    page.quantize(192, dither=Image.Dither.NONE).save(stream, "PNG")
    return stream.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _title(draw: ImageDraw.ImageDraw, document: ResultDocument) -> None:
    infection, lungs, severity = document.infection, document.lungs, document.severity
    assert infection is not None
    assert lungs is not None
    assert severity is not None
    ends = wording.percent_range(infection.interval_percent)
    share = infection.percent.total
    known = "Share not known" if share is None else wording.percent(share)
    headline = f"{known} of the lungs infected"
    headline += f"  (range {ends})" if ends else ""
    draw.text((MARGIN_PX, 18), wording.plain_spaces(headline), INK, _font(28))
    facts = []
    if lungs.volume_ml.total is not None:
        facts.append(f"lungs {wording.ml(lungs.volume_ml.total)}")
    if infection.volume_ml.total is not None:
        facts.append(f"infected {wording.ml(infection.volume_ml.total)}")
    if infection.ground_glass_percent is not None:
        facts.append(f"ground glass {wording.percent(infection.ground_glass_percent)}")
        facts.append(f"consolidation {wording.percent(infection.consolidation_percent)}")
    facts += [severity.ct_grade] if severity.ct_grade else []
    facts += [] if severity.ctss25 is None else [f"CTSS {severity.ctss25} of 25"]
    draw.text((MARGIN_PX, 56), wording.plain_spaces("   ".join(facts)), SOFT, _font(18))


def _legend(draw: ImageDraw.ImageDraw, top: int, *, sides_known: bool) -> None:
    keys = [(GROUND_GLASS_RGB, "ground glass"), (CONSOLIDATION_RGB, "consolidation (striped)")]
    keys += [(RIGHT_RGB, "right lung" if sides_known else "lung")]
    keys += [(LEFT_RGB, "left lung")] if sides_known else []
    x = MARGIN_PX
    for colour, name in keys:
        draw.rectangle((x, top + 3, x + 18, top + 14), outline=colour, width=2)
        draw.text((x + 26, top), name, SOFT, _font(15))
        x += 44 + int(draw.textlength(name, _font(15)))
    draw.text((MARGIN_PX, top + 24), DISCLAIMER, SOFT, _font(13))
