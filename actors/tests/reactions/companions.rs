//! Companions write a résumé for every graduation. What it says is asked of poppler, which did not write it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};
use stentor::delivery::DeliveryState;
use stentor::{ModuleOptions, Publication, RetryPolicy, args};
use stentor_actors::companions::{Companions, Settings};
use stentor_actors::events::{CourseGraduated, TopicCompleted};
use stentor_actors::school::School;
use url::Url;
use uuid::Uuid;

use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    a_graduate_has_a_resume_with_everything_that_was_learnt,
    every_script_is_right_when_the_text_is_taken_out_again,
    a_resume_is_one_page_however_much_there_is_to_say,
    a_graduation_delivered_again_makes_the_same_bytes_and_no_second_row,
    what_was_learnt_later_is_not_in_an_earlier_resume,
    a_second_course_makes_a_second_resume_that_names_the_first_one,
    a_lost_file_is_made_again,
    a_folder_that_cannot_be_written_to_is_named_and_tried_again,
    graduations_at_once_make_a_resume_each,
    a_graduation_of_nobody_is_parked_and_says_so,
];

with_crashes![a_graduation_delivered_again_makes_the_same_bytes_and_no_second_row,];

fn graduation(world: &World, student: u32) -> CourseGraduated {
    CourseGraduated {
        user_id: world.student(student as usize),
        course_id: world.school.course_id(student),
        final_score: 91.26,
    }
}

/// Returns the files of a graduate's documents, oldest first, once each is what its row says.
async fn documents(world: &World, user: Uuid) -> Vec<PathBuf> {
    const DOCUMENTS: &str = "SELECT template, file_url, content_sha256 FROM generated_documents
        WHERE user_id = $1 ORDER BY created_at";
    let mut files = Vec::new();
    for row in world.rows(DOCUMENTS, args![user]).await {
        let address = Url::parse(&row.get::<String>("file_url").unwrap()).unwrap();
        let file = address.to_file_path().unwrap();
        let sha256 = Sha256::digest(fs::read(&file).unwrap()).to_vec();
        assert_eq!(row.get::<Vec<u8>>("content_sha256").unwrap(), sha256);
        assert_eq!(row.get::<String>("template").unwrap(), "resume");
        files.push(file);
    }
    files
}

async fn resume(world: &World, student: u32) -> PathBuf {
    let files = documents(world, world.student(student as usize)).await;
    assert_eq!(files.len(), 1);
    files[0].clone()
}

/// Runs a program of poppler's and returns what it prints.
fn poppler(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("{program}: {error}; run ./scripts/test, which installs poppler-utils")
    });
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(file: &Path) -> String {
    poppler("pdftotext", &["-layout", file.to_str().unwrap(), "-"])
}

/// Writes a letter and its mark as the one character that means the same, as readers may do.
fn composed(text: &str) -> String {
    text.replace("e\u{308}", "ë").replace("u\u{308}", "ü")
}

#[track_caller]
fn assert_says(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is missing in\n{text}");
}

/// Checks that a document has one page of A4, and that whoever reads it needs no font for it.
#[track_caller]
fn assert_one_page_with_fonts(file: &Path) {
    let info = poppler("pdfinfo", &[file.to_str().unwrap()]);
    let fact = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    assert_eq!(fact("Pages:"), "1", "{info}");
    assert!(fact("Page size:").ends_with("(A4)"), "{info}");
    let fonts = poppler("pdffonts", &[file.to_str().unwrap()]);
    let rows: Vec<&str> = fonts.lines().skip(2).collect();
    assert!(!rows.is_empty(), "{fonts}");
    // Embedded, a subset, and with a way back to the text.
    assert!(rows.iter().all(|row| row.contains(" yes yes yes ")), "{fonts}");
}

async fn rename(world: &World, student: u32, name: &str, email: &str) {
    const RENAME: &str = "UPDATE user_profiles SET full_name = $2, email = $3 WHERE id = $1";
    world.write(RENAME, args![world.student(student as usize), name, email]).await;
}

async fn a_graduate_has_a_resume_with_everything_that_was_learnt(database: Database) {
    const LEARNT: &str = "SELECT t.title, d.score FROM topic_completions d JOIN topics t ON t.id = d.topic_id
        WHERE d.user_id = $1";
    const PERSON: &str = "SELECT p.full_name, p.email, g.final_score FROM user_profiles p
        JOIN course_progress g ON g.user_id = p.id WHERE p.id = $1";
    let world = World::start(database, School::new(1, 1)).await;
    world.all_happen(world.school.completions().collect::<Vec<_>>()).await;
    let file = resume(&world, 0).await;
    assert!(file.starts_with(world.documents.path()), "{}", file.display());
    assert_one_page_with_fonts(&file);
    let text = text(&file);
    let person = &world.rows(PERSON, args![world.student(0)]).await[0];
    assert_says(&text, &person.get::<String>("full_name").unwrap());
    assert_says(&text, &person.get::<String>("email").unwrap());
    assert_says(&text, "Graduate of Backend Engineering");
    assert_says(&text, &format!("Final score {:.1} of 100", person.get::<f64>("final_score").unwrap()));
    for heading in ["Education", "Skills", "Topics and scores"] {
        assert_says(&text, heading);
    }
    let (_, topics) = text.split_once("Topics and scores").unwrap();
    let learnt = world.rows(LEARNT, args![world.student(0)]).await;
    assert_eq!(learnt.len(), 6);
    for row in learnt {
        let (title, score): (String, f64) = (row.get("title").unwrap(), row.get("score").unwrap());
        let (_, after) =
            topics.split_once(&title).unwrap_or_else(|| panic!("{title} is missing in\n{topics}"));
        assert!(after.trim_start().starts_with(&format!("{score:.1}")), "{title}\n{topics}");
    }
    world.stop().await;
}

async fn every_script_is_right_when_the_text_is_taken_out_again(database: Database) {
    const PEOPLE: [(&str, &str); 11] = [
        ("Ngọc Gonçalves Ødegård", "ngoc@example.org"),
        ("Łukasz Żółć-Wiśniewski", "łukasz@żółć.example"),
        ("Zoe\u{308} Mu\u{308}ller", "office.affiliate@example.org"),
        ("Ελένη Παπαδάκη ῥεῖ", "ελένη@παράδειγμα.ελ"),
        ("Ольга Шевченко Ґалаґан", "ольга@пример.рф"),
        ("佐藤 美咲 さとう ミサキ", "佐藤@例え.jp"),
        ("王伟 龍國樑", "王伟@例子.中国"),
        // A part of one character, before and after.
        ("伟 王", "伟@例子.中国"),
        ("김 지우", "김@예제.한국"),
        ("김지우 뷁쀍", "김지우@예제.한국"),
        // The font for Chinese lacks the first character: it is a box to the eye and still the right text.
        ("𠮷野家", "yoshi@example.org"),
    ];
    let world = World::start(database, School::new(11, 1)).await;
    let courses = ["Архитектура", "データベース設計", "Τεχνητή νοημοσύνη"];
    for (student, title) in (0..).zip(courses) {
        let id = world.school.course_id(student);
        world.write("UPDATE courses SET title = $2 WHERE id = $1", args![id, title]).await;
    }
    for (student, (name, email)) in (0..).zip(PEOPLE) {
        rename(&world, student, name, email).await;
    }
    world.all_happen((0..11).map(|student| graduation(&world, student)).collect::<Vec<_>>()).await;
    for (student, (name, email)) in (0..).zip(PEOPLE) {
        let file = resume(&world, student).await;
        assert_one_page_with_fonts(&file);
        let text = text(&file);
        assert_says(&composed(&text), &composed(name));
        assert_says(&text, email);
        assert_says(&text, &format!("Graduate of {}", courses[student as usize % 3]));
        assert_says(&text, "Final score 91.3 of 100");
    }
    world.stop().await;
}

async fn a_resume_is_one_page_however_much_there_is_to_say(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let (user, course) = (world.student(0), world.school.course_id(0));
    let name: String = "Wolfeschlegelsteinhausenbergerdorff ".repeat(4).chars().take(120).collect();
    let email = format!("{}@{}.example", "w".repeat(64), "m".repeat(27));
    rename(&world, 0, name.trim(), &email).await;
    for number in 0..60 {
        let topic = Uuid::now_v7();
        let title = format!("{number}. {}", "データベース設計 and what follows from it ".repeat(8));
        world
            .write(
                "INSERT INTO topics (id, course_id, title, position) VALUES ($1, $2, $3, $4)",
                args![topic, course, title, 100 + number],
            )
            .await;
        world
            .write(
                "INSERT INTO topic_completions (user_id, topic_id, score, completed_at) VALUES ($1, $2, $3, $4)",
                args![user, topic, 40.0 + f64::from(number), time::OffsetDateTime::UNIX_EPOCH],
            )
            .await;
    }
    for number in 0..9 {
        let earlier = Uuid::now_v7();
        world
            .write(
                "INSERT INTO courses (id, title) VALUES ($1, $2)",
                args![earlier, format!("Course {number}")],
            )
            .await;
        world
            .write(
                "INSERT INTO course_progress (user_id, course_id, topics_completed, graduated_at, final_score)
                    VALUES ($1, $2, 1, $3, 77.0)",
                args![user, earlier, time::OffsetDateTime::UNIX_EPOCH],
            )
            .await;
    }
    world.happens(graduation(&world, 0)).await;
    let file = resume(&world, 0).await;
    assert_one_page_with_fonts(&file);
    let text = text(&file);
    // An address that is not whole is worth nothing.
    assert_says(&text, &email);
    assert_says(&text, "and 5 earlier courses");
    let (_, topics) = text.split_once("Topics and scores").unwrap();
    assert_says(topics, "99.0");
    assert!(!topics.contains("40.0"), "the best topics stay\n{topics}");
    let (before, _) = topics.split_once(" more topics").unwrap();
    let left_out: usize = before.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(topics.matches(".0").count(), 60 - left_out, "{topics}");
    assert!(left_out < 40, "there is room for more than {left_out} left out\n{topics}");
    world.stop().await;
}

async fn a_graduation_delivered_again_makes_the_same_bytes_and_no_second_row(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let event = world.happens(graduation(&world, 0)).await;
    let file = resume(&world, 0).await;
    let (bytes, tally) = (fs::read(&file).unwrap(), world.tally().await);
    world.happens_again(event, "companions").await;
    assert_eq!(resume(&world, 0).await, file);
    assert_eq!(fs::read(&file).unwrap(), bytes);
    assert_eq!(world.tally().await, tally);
    assert_eq!(fs::read_dir(world.documents.path()).unwrap().count(), 1, "nothing unfinished is left behind");
    world.stop().await;
}

async fn what_was_learnt_later_is_not_in_an_earlier_resume(database: Database) {
    let world = World::start(database, School::new(2, 1)).await;
    let event = world.happens(graduation(&world, 0)).await;
    let file = resume(&world, 0).await;
    let bytes = fs::read(&file).unwrap();
    // The topics of another course, up to its graduation.
    let second = world.school.required_topics(1).collect::<Vec<_>>();
    let learnt = second.into_iter().map(|topic_id| TopicCompleted {
        user_id: world.student(0),
        topic_id,
        score: 99.0,
    });
    world.all_happen(learnt).await;
    assert_eq!(documents(&world, world.student(0)).await.len(), 2);
    world.happens_again(event, "companions").await;
    assert_eq!(fs::read(&file).unwrap(), bytes);
    world.stop().await;
}

async fn a_second_course_makes_a_second_resume_that_names_the_first_one(database: Database) {
    let world = World::start(database, School::new(2, 1)).await;
    for course in 0..2 {
        let topics = world.school.required_topics(course).collect::<Vec<_>>();
        let learnt = topics.into_iter().map(|topic_id| TopicCompleted {
            user_id: world.student(0),
            topic_id,
            score: 80.0,
        });
        world.all_happen(learnt).await;
    }
    let files = documents(&world, world.student(0)).await;
    assert_eq!(files.len(), 2);
    let (first, second) = (text(&files[0]), text(&files[1]));
    assert_says(&second, "Graduate of Data Analysis");
    assert_says(&second, "Backend Engineering");
    assert!(!first.contains("Data Analysis"), "{first}");
    world.stop().await;
}

async fn a_lost_file_is_made_again(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let event = world.happens(graduation(&world, 0)).await;
    let file = resume(&world, 0).await;
    let bytes = fs::read(&file).unwrap();
    fs::remove_dir_all(world.documents.path()).unwrap();
    world.happens_again(event, "companions").await;
    assert_eq!(fs::read(resume(&world, 0).await).unwrap(), bytes);
    world.stop().await;
}

async fn a_folder_that_cannot_be_written_to_is_named_and_tried_again(database: Database) {
    let place = tempfile::tempdir().unwrap();
    // A file where a folder should be stops even root.
    let in_the_way = place.path().join("taken");
    fs::write(&in_the_way, "").unwrap();
    let settings = Settings { folder: in_the_way.join("documents"), ..Settings::default() };
    let often =
        RetryPolicy::new().initial_delay(Duration::from_millis(50)).max_delay(Duration::from_millis(50));
    let world = World::start_with(database, School::new(1, 1), |builder| {
        builder
            .catalogue(&stentor_actors::catalogue())
            .migrations(&stentor_actors::MIGRATIONS)
            .module_with(ModuleOptions::default().retry(often.max_attempts(100)), move || {
                Companions::new(&settings)
            })
    })
    .await;
    let receipt = world.bus.publish(Publication::new(graduation(&world, 0))).await.unwrap();
    let failed = async {
        while world.delivery(receipt.id(), "companions").await.attempts < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), failed).await.expect("it is tried again");
    let delivery = world.delivery(receipt.id(), "companions").await;
    assert_ne!(delivery.state, DeliveryState::Dead);
    let errors = delivery.errors.to_string();
    assert!(errors.contains("taken/documents") && errors.contains("companions.folder"), "{errors}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM generated_documents", args![]).await, 0);
    fs::remove_file(&in_the_way).unwrap();
    receipt.processed().await.unwrap();
    assert_eq!(documents(&world, world.student(0)).await.len(), 1);
    world.stop().await;
}

async fn graduations_at_once_make_a_resume_each(database: Database) {
    let world = World::start(database, School::new(40, 1)).await;
    world.all_happen((0..40).map(|student| graduation(&world, student)).collect::<Vec<_>>()).await;
    for student in 0..40 {
        let file = resume(&world, student).await;
        assert!(file.file_name().unwrap().to_str().unwrap().is_ascii(), "{}", file.display());
    }
    assert_eq!(fs::read_dir(world.documents.path()).unwrap().count(), 40);
    world.stop().await;
}

async fn a_graduation_of_nobody_is_parked_and_says_so(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let nobody = Uuid::now_v7();
    let event = world.happens(CourseGraduated { user_id: nobody, ..graduation(&world, 0) }).await;
    let delivery = world.delivery(event, "companions").await;
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Dead, 1));
    let errors = delivery.errors.to_string();
    assert!(errors.contains(&format!("user {nobody} or course")), "{errors}");
    assert_eq!(fs::read_dir(world.documents.path()).unwrap().count(), 0);
    world.stop().await;
}
