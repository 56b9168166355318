//! The day, hour by hour.

use indicatif::{ProgressBar, ProgressStyle};
use rand::RngExt;

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{
    BLOWER, Body, Facts, Level, Order, Party, RecordKind, Target, Value, fact,
};
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::place::{Position, PositionSource};
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_core::store::read::{FindingFilter, WhistleFilter};

use super::DayError;
use super::street::Street;
use super::summary::Summary;

/// 2025-06-11, a Wednesday, 08:30 in Shanghai.
const MORNING_MS: i64 = 1_749_601_800_000;
const MINUTE_MS: i64 = 60_000;
/// Findings of the day.
pub const FINDINGS: usize = 200;
/// Whistles of each community.
const WHISTLES_EACH: usize = 9;
/// 北门社区, where an officer is in a basement when the deadline passes.
const BASEMENT: &str = "530102001006";
const DISPATCHER: &str = "S-01";
const SUPERVISOR: &str = "S-03";
const DEPARTMENTS: [&str; 9] = [
    "F01", "F02", "F03", "D01", "D02", "D03", "D04", "D05", "D06",
];

/// What is told while the day goes by.
pub struct Teller {
    quiet: bool,
}

impl Teller {
    /// Tells, or not.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    fn say(&self, street: &Street, text: &str) {
        if !self.quiet {
            let clock = local_text(street.now_ms);
            println!("{}  {text}", &clock[clock.len() - 5..]);
        }
    }

    fn bar(&self, length: usize, what: &'static str) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("       {msg:24} [{bar:30}] {pos}/{len}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(length as u64)
            .with_style(style)
            .with_message(what)
    }
}

/// A community of the day and the people in it who have phones.
struct Community {
    code: String,
    secretary: String,
    /// Head of the first grid.
    head: String,
    /// Holds the urban post in every grid.
    urban: String,
    /// Holds the cleaner's post in every grid.
    cleaner: String,
    findings: Vec<RecordId>,
    whistles: Vec<(RecordId, Fate)>,
}

/// What becomes of a community whistle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Solved,
    SolvedLateToBeHeard,
    NobodyCame,
    FailedTwice,
    NotSolvableHere,
}

/// Lives through the day.
///
/// # Errors
/// Whatever does not go as the story says.
pub async fn live(
    folder: &std::path::Path,
    seed: u64,
    teller: &Teller,
) -> Result<Summary, DayError> {
    let mut street = Street::new(folder, seed, MORNING_MS)?;
    let mut communities = enrol(&mut street, teller).await?;
    report(&mut street, teller, &mut communities)?;
    sync_everybody(&mut street, teller, "全员到站点同步 station").await?;
    disagree(&mut street, teller, &communities)?;
    whistle(&mut street, teller, &mut communities).await?;
    answer(&mut street, teller, &communities).await?;
    kill(&mut street, teller, &communities).await?;
    deadlines(&mut street, teller, &communities).await?;
    departments(&mut street, teller).await?;
    late_but_valid(&mut street, teller, &communities).await?;
    conclude(&mut street, teller, &communities).await?;
    sync_everybody(&mut street, teller, "收工同步 evening").await?;
    Summary::of(&street)
}

async fn enrol(street: &mut Street, teller: &Teller) -> Result<Vec<Community>, DayError> {
    let directory = shaodao_core::pack::directory(shaodao_core::pack::HUASHAN)?;
    let communities: Vec<Community> = directory
        .communities
        .keys()
        .map(|code| {
            let person = |nth: &str| format!("P{}-{nth}", &code[7..]);
            Community {
                code: code.clone(),
                secretary: person("00"),
                head: person("01"),
                urban: person("06"),
                cleaner: person("08"),
                findings: Vec::new(),
                whistles: Vec::new(),
            }
        })
        .collect();
    let mut people: Vec<String> = vec![DISPATCHER.into(), SUPERVISOR.into()];
    people.extend(DEPARTMENTS.iter().map(|id| format!("L-{id}")));
    for community in &communities {
        let Community {
            secretary,
            head,
            urban,
            cleaner,
            ..
        } = community;
        people.extend([secretary, head, urban, cleaner].map(Clone::clone));
    }
    street.enrol(&people).await?;
    teller.say(
        street,
        &format!(
            "{} 部手机登记入网,全部转入飞行模式。 {0} phones enrolled, all in flight mode.",
            people.len()
        ),
    );
    Ok(communities)
}

/// 200 findings, all of them in flight mode.
fn report(
    street: &mut Street,
    teller: &Teller,
    communities: &mut [Community],
) -> Result<(), DayError> {
    let directory = shaodao_core::pack::directory(shaodao_core::pack::HUASHAN)?;
    let events: Vec<_> = directory
        .codes
        .all()
        .filter(|category| category.code.event)
        .cloned()
        .collect();
    let bar = teller.bar(FINDINGS, "巡查上报 reporting");
    let mut solved = 0;
    let mut twice = 0;
    let mut nth = 0;
    while nth < FINDINGS {
        let community = &mut communities[nth % 10];
        let author = match nth / 10 % 3 {
            0 => &community.head,
            1 => &community.cleaner,
            _ => &community.urban,
        };
        let category = &events[street.rng.random_range(0..events.len())];
        let (code, title) = match nth {
            3 => ("E0403".to_owned(), "北门街燃气泄漏".to_owned()),
            4 => ("E0101".to_owned(), "小菜园违章建筑占压燃气管道".to_owned()),
            5 => ("C0116".to_owned(), "圆通街电箱美化".to_owned()),
            _ => (
                category.code.to_string(),
                format!("{}(第{nth}处)", category.name),
            ),
        };
        let grid = format!("{}001", community.code);
        let position = somewhere_in(&directory, &grid, &mut street.rng)?;
        let facts = facts(&[
            (fact::CATEGORY, &code),
            (fact::TITLE, &title),
            (fact::GRID, &grid),
            (fact::POSITION, &position.to_string()),
            (fact::DESCRIPTION, "巡查发现,现场情况见描述。"),
        ]);
        let draft = Draft::new(RecordKind::Finding, facts, Body::Report);
        let author = author.clone();
        let finding = street.act(&author, draft.clone())?;
        nth += 1;
        if nth % 9 == 0 {
            let body = Body::SelfResolve {
                text: "当场处理完毕。".to_owned(),
            };
            street.on_finding(&author, finding, body)?;
            solved += 1;
        } else if nth % 20 == 7 && nth < FINDINGS {
            // Somebody else walks past the same place, also without signal.
            let other = if author == community.head {
                &community.cleaner
            } else {
                &community.head
            };
            let other = other.clone();
            let twin = street.act(&other, draft)?;
            community.findings.push(finding);
            community.findings.push(twin);
            nth += 1;
            twice += 1;
            bar.set_position(nth as u64);
            continue;
        } else {
            community.findings.push(finding);
        }
        bar.set_position(nth as u64);
    }
    bar.finish_and_clear();
    teller.say(street, &format!(
        "网格员断网上报 {FINDINGS} 个问题,其中 {solved} 个当场自处置,{twice} 处两人同时上报。 {FINDINGS} findings without signal, {solved} fixed on the spot, {twice} places reported by two people at once."
    ));
    Ok(())
}

/// Back in flight mode, reporters and secretaries correct the same facts.
fn disagree(
    street: &mut Street,
    teller: &Teller,
    communities: &[Community],
) -> Result<(), DayError> {
    let mut count = 0;
    for community in communities {
        let finding = community.findings[0];
        let reporter = street
            .phone(&community.secretary)?
            .device
            .store()
            .finding(finding)?
            .ok_or("the station sync brought it")?
            .reporter;
        street.correct(
            &reporter,
            finding,
            facts(&[(fact::TITLE, "现场核对:情况属实,需尽快处理")]),
        )?;
        street.correct(
            &reporter,
            finding,
            facts(&[(fact::ADDRESS, "巷口左侧第三户门前")]),
        )?;
        let title = "经查档案:此处上月已处理过一次";
        street.correct(
            &community.secretary,
            finding,
            facts(&[(fact::TITLE, title)]),
        )?;
        count += 1;
    }
    teller.say(street, &format!("{count} 个问题被两人各自更正,互不知情。 {count} findings corrected by two people, neither knowing of the other."));
    Ok(())
}

/// Secretaries, offline too, review, merge, accept and whistle.
async fn whistle(
    street: &mut Street,
    teller: &Teller,
    communities: &mut [Community],
) -> Result<(), DayError> {
    let bar = teller.bar(10 * WHISTLES_EACH, "社区吹哨 whistling");
    let due_ms = MORNING_MS + 330 * MINUTE_MS;
    let (mut merged, mut reviewed) = (0, 0);
    for community in communities.iter_mut() {
        let secretary = community.secretary.clone();
        let self_resolved = FindingFilter {
            stage: Some(FindingStage::SelfResolved),
            limit: 500,
            ..FindingFilter::default()
        };
        for finding in street
            .phone(&secretary)?
            .device
            .store()
            .findings(&self_resolved)?
        {
            let body = Body::Review {
                passed: true,
                text: "照片与现场一致。".to_owned(),
            };
            street.on_finding(&secretary, finding.record, body)?;
            reviewed += 1;
        }
        let mut open = Vec::new();
        let mut titles: Vec<(String, String, RecordId)> = Vec::new();
        for finding in &community.findings {
            let row = street
                .phone(&secretary)?
                .device
                .store()
                .finding(*finding)?
                .ok_or("is here")?;
            let twin = titles
                .iter()
                .find(|(title, category, _)| *title == row.title && *category == row.category);
            match twin {
                Some((_, _, into)) => {
                    street.on_finding(&secretary, *finding, Body::Merge { into: *into })?;
                    merged += 1;
                }
                None => {
                    titles.push((row.title, row.category, *finding));
                    street.on_finding(&secretary, *finding, Body::Accept)?;
                    open.push(*finding);
                }
            }
        }
        let mut findings = open.into_iter();
        for nth in 0..WHISTLES_EACH {
            let mut carried: Vec<RecordId> = findings.by_ref().take(1 + nth % 2).collect();
            if carried.is_empty() {
                carried.extend(community.findings.first());
            }
            let post = if nth % 2 == 0 { "urban" } else { "cleaner" };
            let party = Party::Post {
                grid: format!("{}001", community.code),
                post: post.to_owned(),
            };
            let order = Order {
                level: Level::Community,
                platform: 5,
                area: community.code.clone(),
                findings: carried,
                targets: vec![Target {
                    party,
                    lead: true,
                    mandatory: true,
                }],
                sign_by_ms: Some(due_ms - 120 * MINUTE_MS),
                report_by_ms: Some(due_ms - 60 * MINUTE_MS),
                due_ms,
                terms: None,
                parent: None,
            };
            let title = format!("第{}号哨令:请到场处理", nth + 1);
            let draft = Draft::new(
                RecordKind::Whistle,
                facts(&[(fact::TITLE, &title)]),
                Body::Issue(order),
            );
            let whistle = street.act(&secretary, draft)?;
            let fate = match (nth, community.code.as_str()) {
                (0, "530102001006") => Fate::SolvedLateToBeHeard,
                (7, _) => Fate::NobodyCame,
                (6, "530102001001" | "530102001007") => Fate::FailedTwice,
                (8, "530102001002" | "530102001013") => Fate::NotSolvableHere,
                _ => Fate::Solved,
            };
            community.whistles.push((whistle, fate));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    street.pass(60).await?;
    for community in communities.iter() {
        street.sync(&community.secretary).await?;
    }
    teller.say(street, &format!(
        "10 个社区离线吹哨 {} 次,合并重复 {merged} 个,复核自处置 {reviewed} 个;书记回到有信号处。 whistles blown offline, duplicates merged, self-resolutions reviewed; secretaries back in signal.",
        10 * WHISTLES_EACH
    ));
    Ok(())
}

/// Targets hear of it, go back into the lanes, and answer without signal.
async fn answer(
    street: &mut Street,
    teller: &Teller,
    communities: &[Community],
) -> Result<(), DayError> {
    for community in communities {
        street.sync(&community.urban).await?;
        street.sync(&community.cleaner).await?;
    }
    street.pass(45).await?;
    let bar = teller.bar(communities.len() * WHISTLES_EACH, "签收报到反馈 answering");
    let mut answered = 0;
    for community in communities {
        for (nth, (whistle, fate)) in community.whistles.iter().enumerate() {
            bar.inc(1);
            let person = if nth % 2 == 0 {
                &community.urban
            } else {
                &community.cleaner
            };
            if *fate == Fate::NobodyCame {
                continue;
            }
            arrive_and_feed_back(street, person, *whistle, "现场已处理完毕。")?;
            answered += 1;
        }
    }
    bar.finish_and_clear();
    street.pass(45).await?;
    // The urban officer of 北门 is still in a basement: signed, solved, unheard.
    for community in communities {
        street.sync(&community.cleaner).await?;
        if community.code != BASEMENT {
            street.sync(&community.urban).await?;
        }
    }
    for community in communities {
        rework(street, community).await?;
    }
    teller.say(street, &format!("应哨方离线签收、报到、反馈 {answered} 次;北门社区一名执法员仍在地下室。 answered offline; one officer is still in a basement."));
    Ok(())
}

/// Two failed verifications, and what the community cannot solve.
async fn rework(street: &mut Street, community: &Community) -> Result<(), DayError> {
    for (nth, (whistle, fate)) in community.whistles.iter().enumerate() {
        let person = if nth % 2 == 0 {
            &community.urban
        } else {
            &community.cleaner
        };
        let Some(party) = party_of(street, person, *whistle)? else {
            continue;
        };
        match fate {
            Fate::FailedTwice => {
                for round in 0..2 {
                    if round > 0 {
                        street.sync(person).await?;
                        let text = "再次处理。".to_owned();
                        street.on_whistle(
                            person,
                            *whistle,
                            Body::Feedback {
                                party: party.clone(),
                                text,
                            },
                        )?;
                        street.sync(person).await?;
                    }
                    street.sync(&community.head).await?;
                    let text = "问题仍在。".to_owned();
                    let body = Body::Verify {
                        party: party.clone(),
                        passed: false,
                        text,
                    };
                    street.on_whistle(&community.head, *whistle, body)?;
                    street.sync(&community.head).await?;
                }
            }
            Fate::NotSolvableHere => {
                street.sync(&community.secretary).await?;
                let reason = "需要执法权,社区就地解决不了。".to_owned();
                street.on_whistle(
                    &community.secretary,
                    *whistle,
                    Body::AskEscalation { reason },
                )?;
                street.sync(&community.secretary).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The server dies with somebody's request on its way.
async fn kill(
    street: &mut Street,
    teller: &Teller,
    communities: &[Community],
) -> Result<(), DayError> {
    let community = communities.first().ok_or("no community")?;
    let finding = *community.findings.first().ok_or("no finding")?;
    let body = Body::Note {
        text: "已拍照,待反馈。".to_owned(),
    };
    street.on_finding(&community.head, finding, body)?;
    street.kill_in_the_middle_of(&community.head).await?;
    street.sync(&community.head).await?;
    teller.say(street, "服务器在一次同步途中被 SIGKILL,重新启动后手机重发,一天继续。 The server was killed (SIGKILL) in the middle of a sync and started again; the phone sent it again, the day goes on.");
    Ok(())
}

async fn deadlines(
    street: &mut Street,
    teller: &Teller,
    communities: &[Community],
) -> Result<(), DayError> {
    let before = street.escalated;
    let due_ms = MORNING_MS + 330 * MINUTE_MS;
    let minutes = (due_ms - street.now_ms).div_euclid(MINUTE_MS) + 1;
    street.pass(minutes.max(1)).await?;
    let passed = street.escalated - before;
    // Time goes on, the same deadlines do not fire again.
    street.pass(1).await?;
    if street.escalated - before != passed {
        return Err("a deadline has fired twice".into());
    }
    for community in communities {
        street.sync(&community.secretary).await?;
    }
    teller.say(street, &format!("期限已到:{passed} 道社区哨令升级到街道,各一次。 {passed} community whistles escalated, each once."));
    Ok(())
}

/// The dispatcher whistles departments; they come, somebody else verifies.
async fn departments(street: &mut Street, teller: &Teller) -> Result<(), DayError> {
    street.sync(DISPATCHER).await?;
    let open = WhistleFilter {
        open: true,
        limit: 1_000,
        ..WhistleFilter::default()
    };
    let list = street.phone(DISPATCHER)?.device.store().whistles(&open)?;
    let level = Level::Street.code();
    let mut whistles: Vec<RecordId> = list
        .iter()
        .filter(|row| row.level == level)
        .map(|row| row.record)
        .collect();
    whistles.sort_unstable();
    let bar = teller.bar(whistles.len(), "部门报到 departments");
    let mut summoned = Vec::new();
    for (nth, whistle) in whistles.iter().enumerate() {
        // The phone of the officer in the basement was last heard of before the
        // deadline: the dispatcher sees that and waits before sending anybody.
        if waits_for_basement(street, *whistle)? {
            continue;
        }
        let id = DEPARTMENTS[nth % DEPARTMENTS.len()];
        let party = Party::Organisation(id.to_owned());
        let target = Target {
            party,
            lead: true,
            mandatory: true,
        };
        street.on_whistle(
            DISPATCHER,
            *whistle,
            Body::Summon {
                targets: vec![target],
            },
        )?;
        summoned.push((*whistle, id));
    }
    street.sync(DISPATCHER).await?;
    for (whistle, id) in &summoned {
        let liaison = format!("L-{id}");
        street.sync(&liaison).await?;
        arrive_and_feed_back(street, &liaison, *whistle, "部门已到场处置。")?;
        street.sync(&liaison).await?;
        bar.inc(1);
    }
    street.pass(30).await?;
    street.sync(SUPERVISOR).await?;
    for (whistle, id) in &summoned {
        let text = "现场核实,问题已解决。".to_owned();
        let body = Body::Verify {
            party: format!("org:{id}"),
            passed: true,
            text,
        };
        street.on_whistle(SUPERVISOR, *whistle, body)?;
    }
    street.sync(SUPERVISOR).await?;
    street.sync(DISPATCHER).await?;
    for (whistle, id) in &summoned {
        street.on_whistle(
            DISPATCHER,
            *whistle,
            Body::Conclude {
                text: "办结。".to_owned(),
            },
        )?;
        let body = Body::Evaluate {
            party: format!("org:{id}"),
            score: 5,
            text: "到场快。".to_owned(),
        };
        street.on_whistle(DISPATCHER, *whistle, body)?;
    }
    street.sync(DISPATCHER).await?;
    for (whistle, id) in &summoned {
        let liaison = format!("L-{id}");
        street.sync(&liaison).await?;
        let body = Body::Evaluate {
            party: BLOWER.to_owned(),
            score: 4,
            text: "哨令清楚。".to_owned(),
        };
        street.on_whistle(&liaison, *whistle, body)?;
        street.sync(&liaison).await?;
    }
    bar.finish_and_clear();
    teller.say(street, &format!("街道吹哨 {} 次,部门报到、反馈,他人核实,结项并双向评价。 street whistles: departments came, somebody else verified, concluded, evaluated both ways.", summoned.len()));
    Ok(())
}

/// Whether a street whistle was opened for what the officer in the basement of
/// 北门 has been summoned to.
fn waits_for_basement(street: &Street, whistle: RecordId) -> Result<bool, DayError> {
    let order = street.whistle(DISPATCHER, whistle)?.order;
    let Some(parent) = order.and_then(|order| order.parent) else {
        return Ok(false);
    };
    let below = street.whistle(DISPATCHER, parent)?;
    let area = below.order.as_ref().map(|order| order.area.as_str());
    let urban = below.targets.keys().any(|key| key.ends_with("/urban"));
    Ok(area == Some(BASEMENT) && urban)
}

/// The officer climbs out of the basement.
async fn late_but_valid(
    street: &mut Street,
    teller: &Teller,
    communities: &[Community],
) -> Result<(), DayError> {
    for community in communities {
        let late = community
            .whistles
            .iter()
            .find(|(_, fate)| *fate == Fate::SolvedLateToBeHeard);
        let Some((whistle, _)) = late else {
            continue;
        };
        street.sync(&community.urban).await?;
        street.sync(DISPATCHER).await?;
        let state = street.whistle(DISPATCHER, *whistle)?;
        let why = state
            .escalations
            .first()
            .and_then(|escalation| escalation.stood_down.clone());
        let why = why.ok_or("the escalation was not stood down")?;
        teller.say(
            street,
            &format!("迟到的证据:{why} Late but valid: the escalation is stood down."),
        );
    }
    Ok(())
}

/// Heads of grids verify, secretaries conclude and evaluate.
async fn conclude(
    street: &mut Street,
    teller: &Teller,
    communities: &[Community],
) -> Result<(), DayError> {
    street.pass(30).await?;
    let bar = teller.bar(communities.len(), "核实结项评价 concluding");
    let mut concluded = 0;
    for community in communities {
        street.sync(&community.head).await?;
        for (whistle, _) in &community.whistles {
            let state = street.whistle(&community.head, *whistle)?;
            if state.stage() != WhistleStage::FedBack {
                continue;
            }
            for party in state.targets.keys() {
                let body = Body::Verify {
                    party: party.clone(),
                    passed: true,
                    text: "已到现场看过。".to_owned(),
                };
                street.on_whistle(&community.head, *whistle, body)?;
            }
        }
        street.sync(&community.head).await?;
        street.sync(&community.secretary).await?;
        for (whistle, _) in &community.whistles {
            let state = street.whistle(&community.secretary, *whistle)?;
            if state.stage() != WhistleStage::Verified {
                continue;
            }
            street.on_whistle(
                &community.secretary,
                *whistle,
                Body::Conclude {
                    text: "已解决。".to_owned(),
                },
            )?;
            for party in state.targets.keys() {
                let body = Body::Evaluate {
                    party: party.clone(),
                    score: 5,
                    text: String::new(),
                };
                street.on_whistle(&community.secretary, *whistle, body)?;
            }
            concluded += 1;
        }
        street.sync(&community.secretary).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    teller.say(
        street,
        &format!("社区结项 {concluded} 道哨令。 {concluded} community whistles concluded."),
    );
    Ok(())
}

async fn sync_everybody(
    street: &mut Street,
    teller: &Teller,
    what: &'static str,
) -> Result<(), DayError> {
    street.pass(30).await?;
    let people: Vec<String> = street.phones.keys().cloned().collect();
    // Whoever came first comes again: what the others brought is there now.
    let bar = teller.bar(2 * people.len(), what);
    for person in people.iter().chain(&people) {
        street.sync(person).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    teller.say(street, &format!("{what}:完成。"));
    Ok(())
}

fn arrive_and_feed_back(
    street: &mut Street,
    person: &str,
    whistle: RecordId,
    text: &str,
) -> Result<(), DayError> {
    let Some(party) = party_of(street, person, whistle)? else {
        return Err(format!("{person} is not summoned by {whistle}").into());
    };
    street.on_whistle(
        person,
        whistle,
        Body::Sign {
            party: party.clone(),
        },
    )?;
    street.on_whistle(
        person,
        whistle,
        Body::Arrive {
            party: party.clone(),
            heads: 2,
            position: None,
            away: None,
        },
    )?;
    street.on_whistle(
        person,
        whistle,
        Body::Feedback {
            party,
            text: text.to_owned(),
        },
    )
}

/// The target of a whistle for which somebody acts.
fn party_of(street: &Street, person: &str, whistle: RecordId) -> Result<Option<String>, DayError> {
    let phone = street.phone(person)?;
    let directory = phone.device.directory()?;
    let state = street.whistle(person, whistle)?;
    let id = shaodao_core::domain::ids::PersonId::from(person);
    let mut targets = state.targets.values();
    Ok(targets
        .find(|target| directory.acts_for(&id, &target.target.party))
        .map(|target| target.target.party.key()))
}

fn facts(pairs: &[(&str, &str)]) -> Facts {
    let fact = |(name, text): &(&str, &str)| ((*name).to_owned(), Value::Text((*text).to_owned()));
    pairs.iter().map(fact).collect()
}

fn somewhere_in(
    directory: &shaodao_core::domain::directory::Directory,
    grid: &str,
    rng: &mut rand::rngs::StdRng,
) -> Result<Position, DayError> {
    // Try around the street until the phone itself would say: this grid.
    for _ in 0..100_000 {
        let lat = rng.random_range(25.0414..25.0452);
        let lon = rng.random_range(102.7001..102.7102);
        let position = Position::from_degrees(lat, lon, Some(8.0), PositionSource::Gps)?;
        if directory.grid_at(&position) == Some(grid) {
            return Ok(position);
        }
    }
    Err(format!("no position found in {grid}").into())
}
