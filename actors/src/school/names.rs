//! Names of people and things, in several scripts, as real ones are.

const GIVEN: [&str; 16] = [
    "Zoë",
    "Mateus",
    "Ngọc",
    "Søren",
    "Ольга",
    "Дмитро",
    "Ελένη",
    "Γιώργος",
    "美咲",
    "伟",
    "지우",
    "Aïcha",
    "Łukasz",
    "Priya",
    "Conor",
    "Ada",
];

const FAMILY: [&str; 15] = [
    "Müller",
    "Gonçalves",
    "Nguyễn",
    "Ødegård",
    "Иванова",
    "Шевченко",
    "Παπαδάκη",
    "Νικολάου",
    "佐藤",
    "王",
    "김",
    "Diallo",
    "Wiśniewski",
    "Raghunathan",
    "O’Brien",
];

const COURSES: [(&str, [&str; 6]); 3] = [
    (
        "Backend Engineering",
        ["HTTP and APIs", "Relational Databases", "Concurrency", "Testing", "Operations", "Compilers"],
    ),
    (
        "Data Analysis",
        ["Statistics", "SQL", "Data Cleaning", "Visualisation", "Experiments", "Machine Learning"],
    ),
    (
        "Technical Consulting",
        ["Requirements", "Estimation", "Workshops", "Writing", "Presenting", "Negotiation"],
    ),
];

const PODS: [&str; 8] = ["Athena", "Boreas", "Calliope", "Daphne", "Eos", "Freya", "Gaia", "Hermes"];

/// Returns a person's full name. The lists' lengths have no common divisor, so 240 names come before one returns.
pub(super) fn person(number: u32) -> String {
    format!("{} {}", pick(&GIVEN, number), pick(&FAMILY, number))
}

/// Returns a course's title.
pub(super) fn course(course: u32) -> &'static str {
    pick(&COURSES, course).0
}

/// Returns a topic's title.
pub(super) fn topic(course: u32, topic: u32) -> &'static str {
    pick(&pick(&COURSES, course).1, topic)
}

/// Returns a pod's name.
pub(super) fn pod(number: u32) -> String {
    let round = number as usize / PODS.len() + 1;
    let name = pick(&PODS, number);
    if round == 1 { (*name).to_owned() } else { format!("{name} {round}") }
}

fn pick<T: Copy>(list: &[T], number: u32) -> T {
    list[number as usize % list.len()]
}
