//! Sets text of any script: finds a font that has it, shapes it, breaks its lines and draws them.
//!
//! What no font has is drawn as an empty box, and is still the right text to
//! whoever copies or searches it.

use krilla::color::rgb;
use krilla::geom::Point;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::text::{GlyphId, KrillaGlyph};
use parley::fontique::{Collection, CollectionOptions};
use parley::{
    FontContext, FontFamily, FontWeight, Layout, LayoutContext, Line, LineHeight, OverflowWrap, Run,
    StyleProperty,
};

use super::fonts::{CJK_FAMILY, FACES, FAMILIES};
use super::spaces::{self, one_line};

/// A line's height as a multiple of the font's size, the same in every script.
const LINE_HEIGHT: f32 = 1.3;

/// A colour.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    Black,
    Grey,
    Blue,
    Pale,
}

impl Ink {
    pub(super) fn fill(self) -> Fill {
        let color = match self {
            Self::Black => rgb::Color::new(0x1a, 0x1a, 0x1a),
            Self::Grey => rgb::Color::new(0x59, 0x59, 0x59),
            Self::Blue => rgb::Color::new(0x1f, 0x4e, 0x79),
            Self::Pale => rgb::Color::new(0xe3, 0xe8, 0xee),
        };
        Fill { paint: color.into(), ..Fill::default() }
    }
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// In points.
    pub(super) size: f32,
    pub(super) weight: FontWeight,
    pub(super) ink: Ink,
}

impl Style {
    pub(super) const fn regular(size: f32, ink: Ink) -> Self {
        Self { size, weight: FontWeight::NORMAL, ink }
    }

    pub(super) const fn bold(size: f32, ink: Ink) -> Self {
        Self { size, weight: FontWeight::BOLD, ink }
    }

    fn sized(self, size: f32) -> Self {
        Self { size, ..self }
    }
}

/// Sets texts. Keeps what it learned of the fonts from one text to the next.
pub(super) struct Typesetter {
    fonts: FontContext,
    layouts: LayoutContext<()>,
}

impl std::fmt::Debug for Typesetter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typesetter").finish_non_exhaustive()
    }
}

impl Default for Typesetter {
    fn default() -> Self {
        // No fonts of the system: they differ from machine to machine.
        let mut collection = Collection::new(CollectionOptions { shared: false, system_fonts: false });
        for face in FACES.iter() {
            collection.register_fonts(face.blob.clone(), None);
        }
        let fonts = FontContext { collection, ..FontContext::default() };
        Self { fonts, layouts: LayoutContext::new() }
    }
}

impl Typesetter {
    /// Sets `text` in as many lines of `width` points as it takes.
    pub(super) fn set(&mut self, text: &str, style: Style, width: f32) -> Text {
        let text = one_line(text);
        let mut builder = self.layouts.ranged_builder(&mut self.fonts, &text, 1.0, false);
        builder.push_default(StyleProperty::FontFamily(FontFamily::List(FAMILIES.as_slice().into())));
        builder.push_default(StyleProperty::FontSize(style.size));
        builder.push_default(StyleProperty::FontWeight(style.weight));
        builder.push_default(StyleProperty::LineHeight(LineHeight::FontSizeRelative(LINE_HEIGHT)));
        // A word longer than a line is broken rather than drawn over the margin.
        builder.push_default(StyleProperty::OverflowWrap(OverflowWrap::Anywhere));
        for space in spaces::within_cjk(&text) {
            builder.push(StyleProperty::FontFamily(FontFamily::Single(CJK_FAMILY)), space);
        }
        let mut layout = builder.build(&text);
        layout.break_all_lines(Some(width));
        Text { content: text, style, layout }
    }

    /// Sets `text` in at most `lines_max` lines; what does not fit gives way to an ellipsis.
    pub(super) fn cut(&mut self, text: &str, style: Style, width: f32, lines_max: usize) -> Text {
        let whole = self.set(text, style, width);
        if whole.lines() <= lines_max {
            return whole;
        }
        for end in whole.ends_within(lines_max).into_iter().rev() {
            let shortened = format!("{}…", whole.content[..end].trim_end());
            let cut = self.set(&shortened, style, width);
            if cut.lines() <= lines_max {
                return cut;
            }
        }
        self.set("…", style, width)
    }

    /// Sets `text` in the first of `steps`, sizes with their most lines, in which it fits; in the last it is cut.
    pub(super) fn fit(&mut self, text: &str, style: Style, width: f32, steps: &[(f32, usize)]) -> Text {
        for &(size, lines_max) in steps {
            let set = self.set(text, style.sized(size), width);
            if set.lines() <= lines_max {
                return set;
            }
        }
        let (size, lines_max) = steps.last().copied().unwrap_or((style.size, 1));
        self.cut(text, style.sized(size), width, lines_max)
    }

    /// Sets as many `items`, with commas between, as fit in `lines_max` lines, and says how many are left out.
    pub(super) fn list(&mut self, items: &[&str], style: Style, width: f32, lines_max: usize) -> Text {
        let sentence = |shown: usize| match items.len() - shown {
            0 => items.join(", "),
            more => format!("{} and {more} more", items[..shown].join(", ")),
        };
        let (mut fitting, mut beyond) = (1.min(items.len()), items.len() + 1);
        while beyond - fitting > 1 {
            let middle = usize::midpoint(fitting, beyond);
            if self.set(&sentence(middle), style, width).lines() <= lines_max {
                fitting = middle;
            } else {
                beyond = middle;
            }
        }
        self.cut(&sentence(fitting), style, width, lines_max)
    }
}

/// A text that has been set and can be drawn.
pub(super) struct Text {
    content: String,
    style: Style,
    layout: Layout<()>,
}

impl Text {
    pub(super) fn lines(&self) -> usize {
        self.layout.len()
    }

    /// Returns the width of the longest line in points.
    pub(super) fn width(&self) -> f32 {
        self.layout.width()
    }

    /// Returns the height of all lines in points.
    pub(super) fn height(&self) -> f32 {
        self.layout.height()
    }

    /// Draws the text with its upper left corner at a point.
    pub(super) fn draw(&self, surface: &mut Surface<'_>, left: f32, top: f32) {
        surface.set_fill(Some(self.style.ink.fill()));
        for line in self.layout.lines() {
            self.draw_line(surface, &line, left, top + line.metrics().baseline);
        }
    }

    fn draw_line(&self, surface: &mut Surface<'_>, line: &Line<'_, ()>, left: f32, baseline: f32) {
        let mut x = left;
        let is_spaced_out = spaces::is_spaced_out(&self.content);
        for run in line.runs() {
            let id = run.font().data.id();
            // Every font that a layout can find is one of the faces.
            if let Some(face) = FACES.iter().find(|face| face.blob.id() == id) {
                let (mut glyphs, start) = (glyphs(&run), Point::from_xy(x, baseline));
                if is_spaced_out {
                    spaces::keep_together(&mut glyphs);
                }
                surface.draw_glyphs(start, &glyphs, face.font.clone(), &self.content, run.font_size(), false);
            }
            x += run.advance();
        }
    }

    /// Returns where the first `lines_max` lines may be cut, in bytes of the text: after each character as a reader sees it.
    fn ends_within(&self, lines_max: usize) -> Vec<usize> {
        let runs = self.layout.lines().take(lines_max).flat_map(|line| line.runs().collect::<Vec<_>>());
        let mut ends: Vec<usize> =
            runs.flat_map(|run| run.clusters().map(|cluster| cluster.text_range().end)).collect();
        ends.sort_unstable();
        ends
    }
}

/// The box that every font draws for what it has not.
const MISSING: u32 = 0;

/// Returns the glyphs of a run from left to right, each with the part of the text that it stands for.
fn glyphs(run: &Run<'_, ()>) -> Vec<KrillaGlyph> {
    let size = run.font_size();
    let mut clusters: Vec<Vec<KrillaGlyph>> = Vec::with_capacity(run.len());
    for cluster in run.clusters() {
        let range = cluster.text_range();
        if cluster.is_ligature_continuation() {
            // One glyph for several characters stands for all of them.
            for glyph in clusters.last_mut().into_iter().flatten() {
                glyph.text_range.end = range.end;
            }
            continue;
        }
        let glyph = |glyph: parley::Glyph| {
            // The layout counts downwards, the document upwards.
            let (advance, right, up) = (glyph.advance / size, glyph.x / size, -glyph.y / size);
            KrillaGlyph::new(GlyphId::new(glyph.id), advance, right, up, 0.0, range.clone(), None)
        };
        let mut drawn: Vec<KrillaGlyph> = cluster.glyphs().map(glyph).collect();
        if drawn.len() == 1 && drawn[0].glyph_id.to_u32() == MISSING {
            // Readers take no text from the box of a missing glyph, unless it is one of several for its text.
            drawn.insert(0, KrillaGlyph { x_advance: 0.0, ..drawn[0].clone() });
        }
        clusters.push(drawn);
    }
    if run.is_rtl() {
        clusters.reverse();
    }
    clusters.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::{FAMILIES, Ink, Style, Typesetter};
    use parley::FontFamilyName;

    const STYLE: Style = Style::regular(10.0, Ink::Black);

    #[test]
    fn every_font_is_found_under_its_family() {
        let mut typesetter = Typesetter::default();
        for family in FAMILIES {
            let FontFamilyName::Named(name) = family else { panic!("{family:?} has no name") };
            assert!(typesetter.fonts.collection.family_id(&name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_between_characters_as_readers_see_them() {
        let mut typesetter = Typesetter::default();
        for text in ["Zoe\u{308} ".repeat(60), "王伟".repeat(60), "x\u{303}\u{301}".repeat(60)] {
            let cut = typesetter.cut(&text, STYLE, 100.0, 2);
            assert_eq!(cut.lines(), 2, "{}", cut.content);
            assert!(cut.width() <= 100.0, "{}", cut.width());
            let kept = cut.content.strip_suffix('…').expect("it was cut");
            assert!(
                text.starts_with(kept) && !text[kept.len()..].starts_with(['\u{308}', '\u{303}', '\u{301}'])
            );
        }
        assert_eq!(typesetter.cut("short", STYLE, 100.0, 1).content, "short");
    }

    #[test]
    fn a_list_names_as_many_as_fit_and_counts_the_rest() {
        let mut typesetter = Typesetter::default();
        let items: Vec<String> = (10..70).map(|number| format!("item {number}")).collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let list = typesetter.list(&items, STYLE, 200.0, 2);
        let (named, more) = list.content.split_once(" and ").expect("not all of them fit");
        let more: usize = more.strip_suffix(" more").and_then(|more| more.parse().ok()).expect("a number");
        assert_eq!((named.split(", ").count() + more, list.lines()), (60, 2));
        assert_eq!(typesetter.list(&items[..2], STYLE, 200.0, 1).content, "item 10, item 11");
    }

    #[test]
    fn line_breaks_and_control_characters_take_no_room() {
        let mut typesetter = Typesetter::default();
        let text = typesetter.set("a\n\u{0}\u{1b}[31m\tb  ", STYLE, 200.0);
        assert_eq!((text.content.as_str(), text.lines()), ("a [31m b", 1));
    }
}
