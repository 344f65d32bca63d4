//! The fonts that documents are written in. They are part of the program, so that
//! the same text makes the same glyphs everywhere.

use std::sync::{Arc, LazyLock};

use krilla::text::Font;
use parley::FontFamilyName;
use parley::fontique::Blob;

/// The files under `fonts/`.
macro_rules! fonts {
    ($($file:literal),* $(,)?) => {
        [$(include_bytes!(concat!("../../fonts/", $file)).as_slice()),*]
    };
}

static FONT_FILES: [&[u8]; 9] = fonts![
    "NotoSans-Regular.ttf",
    "NotoSans-Bold.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansArmenian-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansGeorgian-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "DroidSansFallback.ttf",
];

/// The families of [`FONT_FILES`]. Each is asked for what those before it lack.
pub(super) const FAMILIES: [FontFamilyName<'static>; 8] = [
    FontFamilyName::named("Noto Sans"),
    FontFamilyName::named("Noto Sans Arabic"),
    FontFamilyName::named("Noto Sans Armenian"),
    FontFamilyName::named("Noto Sans Devanagari"),
    FontFamilyName::named("Noto Sans Georgian"),
    FontFamilyName::named("Noto Sans Hebrew"),
    FontFamilyName::named("Noto Sans Thai"),
    CJK_FAMILY,
];

/// The family of Chinese, Japanese and Korean.
pub(super) const CJK_FAMILY: FontFamilyName<'static> = FontFamilyName::named("Droid Sans Fallback");

/// A font, as the layout knows it and as the document does.
pub(super) struct Face {
    pub(super) blob: Blob<u8>,
    pub(super) font: Font,
}

/// Parsed once, as the larger ones have tens of thousands of glyphs.
pub(super) static FACES: LazyLock<Vec<Face>> = LazyLock::new(|| {
    let face = |file: &'static [u8]| {
        Some(Face { blob: Blob::new(Arc::new(file)), font: Font::new(file.into(), 0)? })
    };
    FONT_FILES.into_iter().filter_map(face).collect()
});

#[cfg(test)]
mod tests {
    use super::{FACES, FONT_FILES};

    #[test]
    fn every_font_can_be_read() {
        assert_eq!(FACES.len(), FONT_FILES.len());
    }
}
