//! Words that mean the same to the phrases.

/// Every class and its members, which may be several words.
static CLASSES: &[(&str, &str)] = &[
    (
        "need",
        "need, needs, needed, need to find, would need, want, wants, require, requires, seek, seeking, searching for,
        search for, looking for, look for, looking to find, am after, are after, we are after, on the lookout for,
        short of, would love, could use, would like, interested in, missing, lack, lacking, trying to find, find us,
        find me, know anybody, know anyone, know any, got any, have any, have a good, hear of, source, get us, get me,
        got anyone, give us, lend us, send us, send me, borrow, offer us, like to have, down to, do you place,
        do you have, please find",
    ),
    ("wish", "need, needs, want, wants, would like, would love, plan, planning, have, must, going, intend, hope, trying, ready, decided"),
    ("hire", "hire, recruit, employ, headhunt, poach, take on, bring on, onboard"),
    ("hiring", "hiring, recruiting, recruitment, headhunting, talent acquisition, placement service, recruitment agency"),
    (
        "role",
        "developer, developers, engineer, engineers, programmer, programmers, coder, coders, tester, testers, qa, sre,
        sres, devops, designer, designers, architect, architects, analyst, analysts, scientist, scientists, dba, dbas,
        admin, admins, administrator, administrators, manager, managers, director, head, lead, leads, cto, cfo, ceo,
        coo, vp, controller, accountant, accountants, bookkeeper, lawyer, paralegal, assistant, assistants,
        receptionist, secretary, nurse, nurses, doctor, doctors, electrician, electricians, mechanic, mechanics,
        technician, technicians, driver, drivers, chef, cook, cooks, waiter, waiters, teacher, officer, officers,
        owner, master, agents, agent, executive, executives, executives, salesperson, salespeople, sales rep,
        sales reps, marketer, marketers, writer, writers, recruiter, specialist, specialists, expert, experts,
        juniors, seniors, staff member, employees, employee, graduates, machine learning people, colleagues,
        successor, successors, operator, operators, welder, welders, planner, planners, buyer, clerk, clerks",
    ),
    ("rank", "junior, senior, lead, staff, principal, head, chief, vp"),
    (
        "temp",
        "contractor, contractors, freelancer, freelancers, freelance, interim, temp, temps, temporary, temporarily,
        contract developers, contract developer, contract engineers, contract staff, contract staffing, stand in,
        stopgap, locum, short term, temp staff",
    ),
    ("consultant", "consultant, consultants"),
    (
        "extra",
        "extra hands, pair of hands, extra people, reinforcement, reinforcements, external help, external support,
        someone external, external people, more hands, helping hand, additional hands, extra capacity, extra help",
    ),
    (
        "period",
        "day, days, week, weeks, month, months, quarter, sprint, sprints, summer, winter, spring, autumn, january,
        february, march, april, june, july, august, september, october, november, december, christmas, year, weekend,
        release, peak, season, holidays",
    ),
    ("until", "for, until, till, through, over, during, from, just, to"),
    ("number", "one, two, three, four, five, six, seven, eight, nine, ten, twelve, half, a few, few, a couple of, couple of, several, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 20, 30, the next"),
    ("position", "position, positions, role, roles, seat, seats, vacancy, vacancies, req, reqs, opening, openings, headcount, post"),
    (
        "course",
        "course, courses, training, trainings, workshop, workshops, seminar, seminars, bootcamp, bootcamps, class,
        classes, coaching, lesson, lessons, certification, certifications, certificate, refresher, tutorial,
        tutorials, curriculum, syllabus, learning path, webinar, programme, program, masterclass, instruction,
        hands on session, lecture",
    ),
    ("teach", "teach, train, coach, upskill, reskill, tutor, educate, instruct"),
    ("learn", "learn, study, master, get certified, become certified, be certified, get better at, improve, brush up, catch up"),
    ("ours", "team, staff, people, developers, engineers, analysts, testers, colleagues, employees, department, juniors, managers, squad, us, me, them, dbas, guys, company, users, apprentices, students, folks, sales team"),
    ("enrol", "enrol, enroll, sign up, register, book, join, attend, take, start, do, enrolling"),
    ("send", "send, source, provide, share, see, have, get, find, present, forward"),
    ("profiles", "candidates, candidate, profiles, cvs, resumes, applicants"),
    ("offer", "offer, run, have, give, provide, do, hold, organise, organize, arrange, deliver, teach, recommend, sell"),
];

/// Returns the members of a class, separated by commas.
pub(super) fn members(class: &str) -> Option<&'static str> {
    CLASSES.iter().find(|(name, _)| *name == class).map(|(_, members)| *members)
}
