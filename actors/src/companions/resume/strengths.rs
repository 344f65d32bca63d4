//! What a graduate is best at, and the sentences that say so first.

use super::super::facts::{Facts, Topic};
use super::{day, score};

/// From which score on a topic is a skill of which level, best first.
const LEVELS: [(f64, &str); 3] =
    [(90.0, "Excellent (90 and up)"), (75.0, "Strong (75 and up)"), (f64::MIN, "Solid (below 75)")];

/// How many of the best topics the profile names.
const NAMED_MAX: usize = 2;

/// Returns the levels that a graduate has skills of, best first, and the skills, best first too.
///
/// Whoever did no topics is skilled in the course.
pub(super) fn levels(facts: &Facts) -> Vec<(&'static str, Vec<&str>)> {
    let mut skills = best_first(&facts.topics);
    if skills.is_empty() {
        skills.push((&facts.course.title, facts.course.score));
    }
    let mut rest = skills.into_iter().peekable();
    let level = |(least, label)| {
        let titles = std::iter::from_fn(|| rest.next_if(|(_, score)| *score >= least));
        (label, titles.map(|(title, _)| title).collect::<Vec<_>>())
    };
    LEVELS.into_iter().map(level).filter(|(_, titles)| !titles.is_empty()).collect()
}

/// Returns in a few sentences what the résumé comes to.
pub(super) fn profile(facts: &Facts) -> String {
    let course = &facts.course;
    let (date, result) = (day(course.graduated_on), score(course.score));
    let skills = best_first(&facts.topics);
    let named: Vec<String> = skills
        .iter()
        .take(NAMED_MAX)
        .map(|(title, points)| format!("{title} ({})", score(*points)))
        .collect();
    let graduated = format!("Completed {} on {date} with a final score of {result} of 100.", course.title);
    let studied = match skills.len() {
        0 => String::new(),
        1 => format!(" Studied {}.", named.join("")),
        count => format!(" Studied {count} topics, best in {}.", named.join(" and ")),
    };
    let before = match facts.earlier.len() {
        0 => String::new(),
        1 => " Completed one course before.".to_owned(),
        count => format!(" Completed {count} courses before."),
    };
    graduated + &studied + &before
}

/// Returns the `count` topics with the best scores, in the order in which they were.
pub(super) fn best(topics: &[Topic], count: usize) -> Vec<&Topic> {
    let mut numbers: Vec<usize> = (0..topics.len()).collect();
    numbers.sort_by(|one, other| topics[*other].score.total_cmp(&topics[*one].score));
    numbers.truncate(count);
    numbers.sort_unstable();
    numbers.into_iter().map(|number| &topics[number]).collect()
}

/// Returns each title once with its best score, best first.
fn best_first(topics: &[Topic]) -> Vec<(&str, f64)> {
    let mut skills: Vec<(&str, f64)> =
        topics.iter().map(|topic| (topic.title.as_str(), topic.score)).collect();
    skills.sort_by(|one, other| other.1.total_cmp(&one.1));
    let mut known = std::collections::HashSet::new();
    skills.retain(|(title, _)| known.insert(*title));
    skills
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::super::facts::{Course, Facts, Topic};
    use super::{best, levels, profile};

    fn facts(topics: &[(&str, f64)], earlier: usize) -> Facts {
        let at = datetime!(2026-11-28 10:00 UTC);
        let course = |title: &str| Course { title: title.to_owned(), score: 81.26, graduated_on: at.date() };
        Facts {
            name: "Zoë Müller".to_owned(),
            email: "zoe@example.org".to_owned(),
            course: course("Data Analysis"),
            earlier: vec![course("Writing"); earlier],
            topics: topics.iter().map(|&(title, score)| Topic { title: title.to_owned(), score }).collect(),
            at,
        }
    }

    #[test]
    fn skills_are_named_once_by_level_the_best_first() {
        let facts = facts(&[("A", 75.0), ("B", 74.9), ("C", 90.0), ("D", 99.0), ("B", 80.0), ("E", 0.0)], 0);
        let expected = [
            ("Excellent (90 and up)", vec!["D", "C"]),
            ("Strong (75 and up)", vec!["B", "A"]),
            ("Solid (below 75)", vec!["E"]),
        ];
        assert_eq!(levels(&facts), expected);
    }

    #[test]
    fn whoever_did_no_topics_is_skilled_in_the_course() {
        assert_eq!(levels(&facts(&[], 0)), [("Strong (75 and up)", vec!["Data Analysis"])]);
    }

    #[test]
    fn the_profile_names_what_was_done_best() {
        const COURSE: &str = "Completed Data Analysis on 28 November 2026 with a final score of 81.3 of 100.";
        assert_eq!(profile(&facts(&[], 0)), COURSE);
        assert_eq!(
            profile(&facts(&[("SQL", 70.0)], 1)),
            format!("{COURSE} Studied SQL (70.0). Completed one course before.")
        );
        let many = facts(&[("SQL", 70.0), ("Statistics", 90.0), ("Experiments", 80.0)], 2);
        let rest =
            "Studied 3 topics, best in Statistics (90.0) and Experiments (80.0). Completed 2 courses before.";
        assert_eq!(profile(&many), format!("{COURSE} {rest}"));
    }

    #[test]
    fn the_best_topics_stay_in_order() {
        let facts = facts(&[("A", 1.0), ("B", 3.0), ("C", 2.0)], 0);
        let titles: Vec<&str> = best(&facts.topics, 2).iter().map(|topic| topic.title.as_str()).collect();
        assert_eq!(titles, ["B", "C"]);
    }
}
