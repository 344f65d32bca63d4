//! Sentences, clauses and words of a chat, spelled as phrases spell them.

/// What a word may be that denies what follows it in its clause.
static DENIALS: &[&str] = &[
    "not",
    "no",
    "never",
    "none",
    "nobody",
    "neither",
    "nor",
    "without",
    "stopped",
    "against",
    "nothing",
    "unsubscribe",
    "cancel",
];

/// How many words further on a denial is still heard.
const DENIAL_REACH: usize = 6;

/// What ends a clause, besides punctuation.
static TURNS: &[&str] = &["but", "however", "although", "though", "yet", "whereas"];

/// Short forms, with and without their apostrophe, and what they stand for.
static SHORT_FORMS: &[(&str, &str)] = &[
    ("dont", "do not"),
    ("doesnt", "does not"),
    ("didnt", "did not"),
    ("cant", "can not"),
    ("cannot", "can not"),
    ("wont", "will not"),
    ("isnt", "is not"),
    ("arent", "are not"),
    ("havent", "have not"),
    ("hasnt", "has not"),
    ("im", "i am"),
    ("ive", "i have"),
    ("id", "i would"),
    ("weve", "we have"),
    ("youre", "you are"),
    ("its", "it is"),
    ("u", "you"),
    ("ur", "your"),
    ("ppl", "people"),
    ("devs", "developers"),
    ("dev", "developer"),
    ("asap", "urgently"),
    ("wanna", "want to"),
    ("gonna", "going to"),
    ("gotta", "have to"),
    ("pls", "please"),
];

/// Ends of words after an apostrophe, and what they stand for; `n't` is taken care of before them.
static ENDS: &[(&str, &str)] =
    &[("m", "am"), ("re", "are"), ("ve", "have"), ("d", "would"), ("ll", "will"), ("t", "not")];

/// After these, `'s` is short for `is`.
static IS: &[&str] = &["it", "he", "she", "that", "what", "who", "there", "here", "where"];

/// Words worth finding even with a slip of the keyboard in them.
static KEYWORDS: &[&str] = &[
    "candidate",
    "candidates",
    "certification",
    "consultant",
    "consultants",
    "contractor",
    "contractors",
    "course",
    "courses",
    "developer",
    "developers",
    "engineer",
    "engineers",
    "freelancer",
    "freelancers",
    "learn",
    "permanent",
    "position",
    "recruiting",
    "recruitment",
    "temporary",
    "training",
    "workshop",
];

/// Words that only look like a slip in one of [`KEYWORDS`].
static LOOKALIKES: &[&str] = &[
    "lean",
    "learned",
    "learns",
    "learnt",
    "trailing",
    "coarse",
    "positron",
    "positions",
    "engineered",
    "curse",
    "courser",
    "workshops",
];

/// Splits a text into sentences: at line breaks, and at `.`, `!`, `?` and `;` before a blank.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let cut = move || {
        let end = end_of_sentence(rest)?;
        let (sentence, after) = rest.split_at(end);
        rest = after;
        Some(sentence.trim())
    };
    std::iter::from_fn(cut).filter(|sentence| !sentence.is_empty())
}

fn end_of_sentence(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let before_blank = characters.peek().is_none_or(|(_, next)| next.is_whitespace());
        if character == '\n' || (matches!(character, '.' | '!' | '?' | ';') && before_blank) {
            return Some(at + character.len_utf8());
        }
    }
    (!text.is_empty()).then_some(text.len())
}

/// Splits a sentence into clauses of words: at punctuation, and where it turns (`but`).
pub(super) fn clauses(sentence: &str) -> Vec<Vec<String>> {
    let mut clauses = vec![Vec::new()];
    for part in sentence.split([',', ':', ';', '(', ')', '—', '–', '…', '!', '?']) {
        clauses.push(Vec::new());
        for word in part.split(|c: char| c.is_whitespace() || matches!(c, '-' | '/' | '"' | '.')) {
            for word in spelled_out(word) {
                if TURNS.contains(&word.as_str()) {
                    clauses.push(Vec::new());
                } else if let Some(clause) = clauses.last_mut() {
                    clause.push(word);
                }
            }
        }
    }
    clauses.retain(|clause| !clause.is_empty());
    clauses
}

/// Returns the words that one is short for, in lower case and without what is no letter or digit.
fn spelled_out(word: &str) -> Vec<String> {
    let word = word.to_lowercase().replace(['’', '`', '´'], "'");
    let word = word.trim_matches('\'');
    if let Some((stem, end)) = word.split_once('\'')
        && let Some(words) = after_apostrophe(bare(stem), &bare(end))
    {
        return words;
    }
    let word = bare(word);
    if word.is_empty() {
        return Vec::new();
    }
    match SHORT_FORMS.iter().find(|(short, _)| *short == word) {
        Some((_, long)) => long.split(' ').map(str::to_owned).collect(),
        None => vec![corrected(word)],
    }
}

/// Returns what `stem'end` stands for; nothing if the list of short forms knows it better.
fn after_apostrophe(stem: String, end: &str) -> Option<Vec<String>> {
    if end == "s" {
        let is = IS.contains(&stem.as_str()).then(|| "is".to_owned());
        return Some(std::iter::once(stem).chain(is).collect());
    }
    if end == "t" {
        return (!["can", "won"].contains(&stem.as_str()))
            .then(|| vec![stem.strip_suffix('n').unwrap_or(&stem).to_owned(), "not".to_owned()]);
    }
    let (_, long) = ENDS.iter().find(|(short, _)| *short == end)?;
    Some(vec![stem, (*long).to_owned()])
}

fn bare(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Returns the keyword that `word` is but for one slip, or `word` itself.
fn corrected(word: String) -> String {
    let candidates = || KEYWORDS.iter().filter(|keyword| keyword[..1] == word[..word.len().min(1)]);
    if !word.is_ascii() || KEYWORDS.contains(&word.as_str()) || LOOKALIKES.contains(&word.as_str()) {
        return word;
    }
    match candidates().find(|keyword| is_one_slip(keyword.as_bytes(), word.as_bytes())) {
        Some(keyword) => (*keyword).to_owned(),
        None => word,
    }
}

/// Returns whether a letter was left out, doubled or added, replaced, or swapped with its neighbour.
fn is_one_slip(right: &[u8], wrong: &[u8]) -> bool {
    let same = right.iter().zip(wrong).take_while(|(a, b)| a == b).count();
    let (right, wrong) = (&right[same..], &wrong[same..]);
    match (right, wrong) {
        ([_, right @ ..], wrong) if right == wrong => true,
        (right, [_, wrong @ ..]) if right == wrong => true,
        ([_, right @ ..], [_, wrong @ ..]) if right == wrong => true,
        ([a, b, right @ ..], [c, d, wrong @ ..]) => a == d && b == c && right == wrong,
        _ => false,
    }
}

/// Returns whether a word before the phrase, or in one of its gaps, denies it.
pub(super) fn is_denied(clause: &[String], phrase: &[usize]) -> bool {
    let reached = |at: usize| phrase.iter().any(|word| at < *word && *word - at <= DENIAL_REACH);
    let said = (0..clause.len()).filter(|at| !phrase.contains(at) && reached(*at));
    said.into_iter().any(|at| denies(clause, at))
}

fn denies(clause: &[String], at: usize) -> bool {
    let word = clause[at].as_str();
    let after = clause.get(at + 1).map(String::as_str);
    // "Not only", "not sure", "why not" and "why do we not" deny nothing.
    let asked = clause[..at].iter().rev().take(3).any(|before| before == "why");
    let harmless = asked || matches!((word, after), ("not", Some("only" | "just" | "sure")));
    DENIALS.contains(&word) && !harmless
}
