//! A graduate's résumé: one page, whatever there is to say.
//!
//! The page is filled from the top. Each part has a most number of lines, and
//! the topics, which come last, get what is left.

use krilla::Document;
use krilla::action::{Action, LinkAction};
use krilla::annotation::{Annotation, LinkAnnotation, Target};
use krilla::error::KrillaError;
use krilla::geom::{PathBuilder, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::page::PageSettings;
use krilla::surface::Surface;
use time::Date;

use super::facts::{Course, Facts, Topic};
use super::spaces::one_line;
use super::typesetter::{Ink, Style, Text, Typesetter};

mod strengths;

// All measures are in points; a page of A4 is 595 by 842.
const LEFT: f32 = 54.0;
const RIGHT: f32 = 541.0;
const TOP: f32 = 50.0;
const BOTTOM: f32 = 796.0;
const WIDTH: f32 = RIGHT - LEFT;
/// Between what stands beside each other.
const GAP: f32 = 18.0;
const COLUMN: f32 = (WIDTH - GAP) / 2.0;
/// The width of the names of the skills' levels.
const LABEL: f32 = 130.0;
const TOPIC_ROW: f32 = 15.0;
/// How many topics get a line each, with a bar for the score; more stand in two columns.
const BARS_MAX: usize = 14;
const BAR_ROW: f32 = 19.0;
const BAR: f32 = 170.0;
const BAR_HEIGHT: f32 = 5.0;
/// What a score takes at the right.
const SCORE: f32 = 40.0;

const NAME: Style = Style::bold(26.0, Ink::Black);
/// Sizes for names from short to long, with how many lines each may take.
const NAME_STEPS: [(f32, usize); 6] = [(26.0, 1), (22.0, 1), (18.0, 1), (15.0, 1), (15.0, 2), (11.0, 3)];
const HEADLINE: Style = Style::regular(12.0, Ink::Blue);
const CONTACT: Style = Style::regular(10.0, Ink::Black);
/// An address that breaks cannot be copied, so it is rather small than on two lines.
const CONTACT_STEPS: [(f32, usize); 5] = [(10.0, 1), (8.5, 1), (7.0, 1), (5.5, 1), (5.5, 3)];
const HEADING: Style = Style::bold(12.0, Ink::Blue);
const STRONG: Style = Style::bold(10.5, Ink::Black);
const BODY: Style = Style::regular(10.0, Ink::Black);
const NOTE: Style = Style::regular(9.0, Ink::Grey);

/// How many courses are named beside the one that the résumé is for.
const EARLIER_MAX: usize = 4;
/// Writes the résumé as a PDF. The same facts make the same bytes.
///
/// # Errors
///
/// Fails if a font cannot be embedded.
pub(super) fn write(facts: &Facts, typesetter: &mut Typesetter) -> Result<Vec<u8>, KrillaError> {
    let mut document = Document::new();
    document.set_metadata(metadata(facts));
    let mut page = document.start_page_with(PageSettings::default());
    let sheet = Sheet { typesetter, surface: page.surface(), y: TOP };
    if let Some(area) = sheet.fill(facts) {
        page.add_annotation(mail_link(area, &facts.email));
    }
    page.finish();
    document.finish()
}

fn metadata(facts: &Facts) -> Metadata {
    let name = one_line(&facts.name);
    let (date, hour, minute) = (facts.at.date(), facts.at.hour(), facts.at.minute());
    let created = DateTime::new(u16::try_from(date.year()).unwrap_or_default())
        .month(date.month().into())
        .day(date.day())
        .hour(hour)
        .minute(minute);
    Metadata::new()
        .title(format!("Résumé of {name}"))
        .authors(vec![name])
        .language("en".to_owned())
        .creation_date(created)
}

fn mail_link(area: Rect, email: &str) -> Annotation {
    // What is no letter, digit or mark of an ordinary address could end the link or add to it.
    let escaped: String = email
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'@' | b'.' | b'-' | b'_' | b'+' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    let target = Target::Action(Action::Link(LinkAction::new(format!("mailto:{escaped}"))));
    Annotation::new_link(LinkAnnotation::new(area, target), Some(email.to_owned()))
}

fn score(score: f64) -> String {
    format!("{score:.1}")
}

fn day(date: Date) -> String {
    format!("{} {} {}", date.day(), date.month(), date.year())
}

/// The page while it is filled: `y` is where the next line goes.
struct Sheet<'a> {
    typesetter: &'a mut Typesetter,
    surface: Surface<'a>,
    y: f32,
}

impl Sheet<'_> {
    /// Draws everything, and returns where the e-mail address stands.
    fn fill(mut self, facts: &Facts) -> Option<Rect> {
        let address = self.header(facts);
        self.profile(facts);
        self.education(facts);
        self.skills(facts);
        self.topics(&facts.topics);
        address
    }

    /// Draws who it is, and returns where the e-mail address stands.
    fn header(&mut self, facts: &Facts) -> Option<Rect> {
        let name = self.typesetter.fit(&facts.name, NAME, WIDTH, &NAME_STEPS);
        self.add(&name);
        let headline = format!("Graduate of {}", facts.course.title);
        let headline = self.typesetter.cut(&headline, HEADLINE, WIDTH, 2);
        self.add(&headline);
        self.y += 4.0;
        let email = self.typesetter.fit(&facts.email, CONTACT, WIDTH, &CONTACT_STEPS);
        let area = Rect::from_xywh(LEFT, self.y, email.width(), email.height());
        self.add(&email);
        area
    }

    fn profile(&mut self, facts: &Facts) {
        self.heading("Profile");
        let profile = self.typesetter.cut(&strengths::profile(facts), BODY, WIDTH, 3);
        self.add(&profile);
    }

    fn education(&mut self, facts: &Facts) {
        self.heading("Education");
        self.course(&facts.course);
        for course in facts.earlier.iter().take(EARLIER_MAX) {
            self.course(course);
        }
        if facts.earlier.len() > EARLIER_MAX {
            self.note(&format!("and {} earlier courses", facts.earlier.len() - EARLIER_MAX));
        }
    }

    fn course(&mut self, course: &Course) {
        let result = format!("Final score {} of 100", score(course.score));
        let height = self.pair(&course.title, STRONG, &result, BODY, LEFT, WIDTH);
        self.y += height;
        self.note(&format!("Graduated on {}", day(course.graduated_on)));
        self.y += 4.0;
    }

    /// Draws what the graduate is best at first.
    fn skills(&mut self, facts: &Facts) {
        self.heading("Skills");
        for (level, titles) in strengths::levels(facts) {
            self.level(level, &titles);
        }
    }

    fn level(&mut self, level: &str, titles: &[&str]) {
        let label = self.typesetter.cut(level, STRONG, LABEL, 1);
        let list = self.typesetter.list(titles, BODY, WIDTH - LABEL, 2);
        label.draw(&mut self.surface, LEFT, self.y);
        list.draw(&mut self.surface, LEFT + LABEL, self.y);
        self.y += label.height().max(list.height()) + 2.0;
    }

    fn topics(&mut self, topics: &[Topic]) {
        if topics.is_empty() {
            return;
        }
        self.heading("Topics and scores");
        if topics.len() <= BARS_MAX {
            for topic in topics {
                self.bar(topic);
            }
        } else {
            self.columns(topics);
        }
    }

    /// Draws a topic on a line of its own, with its score as a number and as a bar.
    fn bar(&mut self, topic: &Topic) {
        let number = self.typesetter.cut(&score(topic.score), BODY, SCORE, 1);
        let title = self.typesetter.cut(&topic.title, BODY, WIDTH - BAR - SCORE - GAP, 1);
        title.draw(&mut self.surface, LEFT, self.y);
        number.draw(&mut self.surface, RIGHT - number.width(), self.y);
        let (left, top) = (RIGHT - SCORE - BAR, self.y + (title.height() - BAR_HEIGHT) / 2.0);
        self.rectangle(left, top, BAR, BAR_HEIGHT, Ink::Pale);
        #[allow(clippy::cast_possible_truncation, reason = "a score has few digits")]
        let share = (topic.score / 100.0).clamp(0.0, 1.0) as f32;
        self.rectangle(left, top, BAR * share, BAR_HEIGHT, Ink::Blue);
        self.y += BAR_ROW;
    }

    /// Draws as many topics as there is room for, in two columns. If that is not all of them, the best remain.
    fn columns(&mut self, topics: &[Topic]) {
        let rows = rows_between(self.y, BOTTOM);
        let mut shown: Vec<&Topic> = topics.iter().collect();
        if topics.len() > 2 * rows {
            shown = strengths::best(topics, 2 * rows.saturating_sub(1));
        }
        let rows = shown.len().div_ceil(2).max(1);
        let (top, mut lowest) = (self.y, self.y);
        for (column, left) in [LEFT, LEFT + COLUMN + GAP].into_iter().enumerate() {
            self.y = top;
            for topic in shown.iter().skip(column * rows).take(rows) {
                self.pair(&topic.title, BODY, &score(topic.score), BODY, left, COLUMN);
                self.y += TOPIC_ROW;
            }
            lowest = lowest.max(self.y);
        }
        self.y = lowest;
        if shown.len() < topics.len() {
            self.note(&format!("and {} more topics", topics.len() - shown.len()));
        }
    }

    /// Draws two texts on one line, the second at the right, and returns the line's height.
    fn pair(&mut self, text: &str, style: Style, end: &str, end_style: Style, left: f32, width: f32) -> f32 {
        let end = self.typesetter.cut(end, end_style, width / 2.0, 1);
        let text = self.typesetter.cut(text, style, width - end.width() - GAP / 2.0, 1);
        text.draw(&mut self.surface, left, self.y);
        // Both stand on the same line even if one is larger.
        let lower = (text.height() - end.height()).max(0.0) / 2.0;
        end.draw(&mut self.surface, left + width - end.width(), self.y + lower);
        text.height().max(end.height())
    }

    fn heading(&mut self, title: &str) {
        self.y += 14.0;
        let heading = self.typesetter.cut(title, HEADING, WIDTH, 1);
        self.add(&heading);
        self.rectangle(LEFT, self.y + 1.0, WIDTH, 0.7, Ink::Blue);
        self.y += 7.0;
    }

    /// Fills a rectangle; one without width is none.
    fn rectangle(&mut self, left: f32, top: f32, width: f32, height: f32, ink: Ink) {
        let mut path = PathBuilder::new();
        if let Some(area) = Rect::from_xywh(left, top, width, height) {
            path.push_rect(area);
        }
        if let Some(path) = path.finish() {
            self.surface.set_fill(Some(ink.fill()));
            self.surface.draw_path(&path);
        }
    }

    fn note(&mut self, text: &str) {
        let note = self.typesetter.cut(text, NOTE, WIDTH, 1);
        self.add(&note);
    }

    /// Draws a text at the left margin and moves below it.
    fn add(&mut self, text: &Text) {
        text.draw(&mut self.surface, LEFT, self.y);
        self.y += text.height();
    }
}

/// Returns how many rows of topics fit between two heights.
fn rows_between(top: f32, bottom: f32) -> usize {
    let mut rows = 0;
    let mut y = top;
    while y + TOPIC_ROW <= bottom {
        (rows, y) = (rows + 1, y + TOPIC_ROW);
    }
    rows
}
