//! What can be asked.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};

use shaodao_core::sync::evidence::{Link, Setting};

use crate::lang::Lang;

const EXAMPLES: &str = "\
例 Examples:
  shaodao enrol http://127.0.0.1:8470 ABCDEFGHJK
  shaodao report 北门街燃气泄漏 --category E0403 --at 25.0420,102.7065 --severity 4
  shaodao list --stage reported
  shaodao whistle 处置燃气泄漏 --finding 3f2a --target P01006-06 --due 2h
  shaodao sync

记录可用编号或编号前几位(至少4位)指定。
A record is named by its number, or by the first characters of its id (at least 4).";

/// 哨到:终端里的一部手机,断网可用。 A phone in a terminal; works offline.
#[derive(Debug, Parser)]
#[command(name = "shaodao", version, about, after_help = EXAMPLES)]
pub struct Args {
    /// 手机的数据文件夹 Folder of this phone [default: ~/.local/share/shaodao]
    #[arg(long, env = "SHAODAO_HOME", global = true, value_name = "FOLDER")]
    pub home: Option<PathBuf>,
    /// 输出 JSON Print JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,
    /// 语言,默认按系统区域 Language, by the locale if not given
    #[arg(long, env = "SHAODAO_LANG", value_enum, global = true)]
    pub lang: Option<Lang>,
    /// 做什么 What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// 用登记码登记 Enrol this phone with a ticket
    Enrol(Enrol),

    /// 上报问题 Report a finding
    Report(Report),
    /// 更正问题或哨令 Correct facts of a finding or a whistle
    Correct {
        /// 记录 Record
        record: String,
        #[command(flatten)]
        facts: FactArgs,
        /// 标题 Title
        #[arg(long)]
        title: Option<String>,
    },
    /// 备注 Write a note on a record
    Note {
        /// 记录 Record
        record: String,
        /// 备注 Note
        text: String,
    },
    /// 当场自处置 Say that you fixed it on the spot
    SelfResolve(SelfResolve),
    /// 复核自处置 Review a self-resolution
    Review {
        /// 问题 Finding
        finding: String,
        #[command(flatten)]
        outcome: Outcome,
    },
    /// 受理 Accept a finding
    Accept {
        /// 问题 Finding
        finding: String,
    },
    /// 退回 Decline a finding
    Decline(Reasoned),
    /// 撤回自己的上报 Withdraw your own report
    Withdraw(Reasoned),
    /// 重开 Open a finding again
    Reopen(Reasoned),
    /// 合并重复问题 Merge a finding into the one that stays
    Merge {
        /// 重复的问题 The double
        finding: String,
        /// 保留的问题 The one that stays
        #[arg(long)]
        into: String,
    },
    /// 托付隐私信息 Leave personal data beside a finding, for those who need it
    ///
    /// 姓名、电话、住址不要写进标题和备注:那里人人可见,而且不能收回。
    /// Names, telephone numbers and addresses do not belong into titles and notes:
    /// everybody around reads those, and nobody can take them back.
    Confide {
        /// 问题 Finding
        finding: String,
        /// 内容,只给需要的人看 The text; only those who need it read it
        text: String,
        /// 哪一种 What kind
        #[arg(long, value_enum)]
        kind: Private,
    },
    /// 擦除隐私信息 Erase personal data, on the server and on every phone
    Erase {
        /// 问题 Finding
        finding: String,
        /// 哪一条(show 列出,写前几位即可) Which, as `show` lists it; its beginning will do
        item: String,
        /// 原因 Why
        #[arg(long)]
        reason: String,
    },

    /// 附证:照片、录音、文件 Attach photos, voice notes or files to a record
    Attach(Attach),
    /// 佐证清单,到哪一步 The evidence of a record, and how far each piece has come
    Evidence {
        /// 记录 Record
        record: String,
    },
    /// 取出一份佐证 Write a piece of evidence into a file; fetches it if need be
    Fetch(Fetch),
    /// 擦除佐证 Erase evidence, on the server and on every phone
    EraseEvidence {
        /// 记录 Record
        record: String,
        /// 哪一份(evidence 列出,写前几位即可) Which, as `evidence` lists it; its beginning will do
        piece: String,
        /// 原因 Why
        #[arg(long)]
        reason: String,
    },
    /// 照片上传后手机上保留什么 What this phone keeps of photos that have arrived
    Keep {
        /// 不写则只显示 Shown only, if left out
        #[arg(value_enum)]
        form: Option<KeepForm>,
    },

    /// 吹哨 Blow a whistle
    Whistle(Whistle),
    /// 加派 Summon more targets
    Summon {
        /// 哨令 Whistle
        whistle: String,
        #[command(flatten)]
        targets: Targets,
    },
    /// 签收 Sign: the order has been seen
    Sign(AsTarget),
    /// 报到 Arrive: report in on site
    Arrive {
        #[command(flatten)]
        target: AsTarget,
        /// 到场人数 How many people came
        #[arg(long, default_value_t = 1)]
        heads: u32,
        /// 位置 Where: latitude,longitude, or with the accuracy in metres behind
        #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
        at: Option<String>,
        /// 不在哨令地点或没有定位时的原因 Why not at the whistle's place, or why no position is known
        #[arg(long, value_name = "REASON")]
        away: Option<String>,
    },
    /// 处理反馈 Feed back what was done
    Feedback {
        #[command(flatten)]
        target: AsTarget,
        /// 怎么处理的 What was done
        #[arg(long)]
        text: String,
    },
    /// 谢绝 Decline as a voluntary target
    DeclineSummons {
        #[command(flatten)]
        target: AsTarget,
        /// 原因 Why
        #[arg(long)]
        reason: String,
    },
    /// 退单:不该由我方办 Object: the order is not yours; once
    Object {
        #[command(flatten)]
        target: AsTarget,
        /// 原因 Why
        #[arg(long)]
        reason: String,
    },
    /// 申请延期 Ask for a later due time
    AskExtension {
        #[command(flatten)]
        target: AsTarget,
        /// 延到何时,2h、1d 或 '2026-11-25 18:00' Until when; a span counts from the due time
        #[arg(long)]
        until: String,
        /// 原因 Why
        #[arg(long)]
        reason: String,
    },
    /// 申请挂账:停止计时 Ask to stop the clock
    AskSuspension {
        #[command(flatten)]
        target: AsTarget,
        /// 复查日期,到期自动恢复计时 Review date; the clock runs on from then
        #[arg(long)]
        review: String,
        /// 原因 Why
        #[arg(long)]
        reason: String,
    },
    /// 裁定退单、延期或挂账 Rule on a request
    Rule(Rule),
    /// 恢复计时 Let a stopped clock run on
    Resume(Reasoned),
    /// 重算期限 Set another limit or due time; the clock keeps its start
    Recompute {
        /// 哨令 Whistle
        whistle: String,
        /// 新的时限,如 4h、2d、3u Limit: working hours, working days, urgent hours
        #[arg(long, conflicts_with = "due", required_unless_present = "due")]
        limit: Option<String>,
        /// 新的期限 Due time, 2h, 1d or '2026-11-25 18:00'
        #[arg(long)]
        due: Option<String>,
        /// 原因 Why
        #[arg(long)]
        reason: String,
    },
    /// 催办 Urge: a reminder that changes no clock
    Urge {
        /// 记录 Record
        record: String,
        /// 内容 The reminder
        #[arg(long, default_value = "")]
        text: String,
    },
    /// 督办 Demand an answer by a deadline
    Supervise {
        /// 哨令 Whistle
        whistle: String,
        /// 谁来回复:应哨方,默认吹哨方 Who has to answer: a target, or `blower`
        #[arg(long, default_value = "blower")]
        of: String,
        /// 要求 What is demanded
        #[arg(long)]
        text: String,
        /// 回复期限 Until when, 2h, 1d or '2026-11-25 18:00'
        #[arg(long, default_value = "1d")]
        reply_by: String,
    },
    /// 督办回复 Answer a superior
    Reply {
        /// 哨令 Whistle
        whistle: String,
        /// 哪一次督办,只有一次时可省 Which demand, by the beginning of its action; may be left out if it is clear
        #[arg(long)]
        to: Option<String>,
        /// 回复 The answer
        #[arg(long)]
        text: String,
    },
    /// 核实 Verify on site what somebody else did
    Verify {
        /// 哨令 Whistle
        whistle: String,
        /// 应哨方,只有一个时可省 Whose work; may be left out if only one has fed back
        #[arg(long)]
        of: Option<String>,
        #[command(flatten)]
        outcome: Outcome,
    },
    /// 放人 Let a target go
    Release {
        /// 哨令 Whistle
        whistle: String,
        /// 应哨方 Target
        target: String,
    },
    /// 免责 Excuse a target
    Excuse {
        /// 哨令 Whistle
        whistle: String,
        /// 应哨方 Target
        target: String,
        /// 原因 Why
        #[arg(long)]
        reason: String,
    },
    /// 结项 Conclude a whistle
    Conclude {
        /// 哨令 Whistle
        whistle: String,
        /// 结果 The result
        #[arg(long, default_value = "")]
        text: String,
    },
    /// 撤销哨令 Call a whistle off
    Cancel(Reasoned),
    /// 评价 Evaluate the other side
    Evaluate {
        /// 哨令 Whistle
        whistle: String,
        /// 评谁;吹哨方写 blower Whom: a target, or `blower`
        #[arg(long)]
        of: String,
        /// 1 到 5 分 Score, 1 to 5
        #[arg(long)]
        score: u32,
        /// 评语 In words
        #[arg(long, default_value = "")]
        text: String,
    },
    /// 申请升级:社区解决不了 Ask to escalate: the community cannot solve it
    Escalate(Reasoned),
    /// 解除升级 Stand an escalation down
    StandDown(Reasoned),
    /// 维持升级:调度员裁定 Decide as the dispatcher that an escalation stands
    Uphold(Reasoned),
    /// 撤销区级督办标记 Withdraw a mark for the district
    WithdrawMark(Reasoned),

    /// 列表 List findings or whistles, newest first
    List(List),
    /// 详情 Show a record with everything in it
    Show {
        /// 记录 Record
        record: String,
    },
    /// 搜索 Search; two Chinese characters are enough
    Search {
        /// 要找的字词 Words
        text: String,
        /// 最多几条 At most so many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// 待办 What is waiting for you
    Todo,
    /// 名录 Who is who and what is where
    Directory {
        /// 哪一类 Which part
        #[arg(value_enum)]
        part: Part,
        /// 只看含有这个词的 Only what contains this
        text: Option<String>,
    },
    /// 统计 Statistics of the whistles on this phone
    ///
    /// 单位写明:次、个、人次;比率写明分母,没有分母的写“—”。
    /// Units are said: orders, organisations, person-times; a rate says of how many,
    /// and a rate of nothing is "—".
    Stats(Stats),
    /// 未入账的操作:原因、保存情况、谁能帮忙 What was not accepted: why, what is kept, who can help
    Troubles,
    /// 同步 Send what waits and fetch what is new
    Sync(SyncArgs),
    /// 状态 How this phone stands
    Status,
    /// 待重做:换机或恢复备份前没有上传的操作 What a former device of yours could not send
    Salvaged,
    /// 重做未入账的、或旧设备没能上传的操作 Do again what was not accepted, or what a former device could not send
    Redo {
        /// 操作编号的前几位(见 troubles、salvaged);不写为旧设备的全部 First characters of the action, as
        /// `troubles` and `salvaged` list it; all of the former device if not given
        action: Option<String>,
        /// 不重做,从列表中去掉 Take it off the list instead
        #[arg(long, requires = "action")]
        forget: bool,
    },
}

/// 登记:显示六位核对码,等管理员确认。 Shows six digits and waits until the administrator confirms them.
#[derive(Debug, Group)]
#[command(after_help = "\
例 Examples:
  shaodao enrol 'shaodao://enrol?server=…'        扫到的一行 the line of the QR code
  shaodao enrol http://127.0.0.1:8470 ABCDEFGHJK
  shaodao enrol --resume                          接着等 go on waiting")]
pub struct Enrol {
    /// 二维码里的 shaodao://enrol?…,或服务器地址 What the QR code says, or the server's address
    #[arg(required_unless_present = "resume", value_name = "URI|SERVER")]
    pub server: Option<String>,
    /// 登记码,十个字符 Ticket: ten characters, from the administrator
    pub ticket: Option<String>,
    /// 不等确认 Show the check code and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// 服务器不认识这部手机时重新登记,数据都保留 Enrol again when the server does not know this phone; all data stays
    #[arg(long)]
    pub again: bool,
    /// 接着等上次的登记 Go on with the enrolment that waits
    #[arg(long, conflicts_with_all = ["server", "ticket"])]
    pub resume: bool,
}

/// A record and why.
#[derive(Debug, Group)]
pub struct Reasoned {
    /// 记录 Record
    pub record: String,
    /// 原因 Why
    #[arg(long)]
    pub reason: String,
}

/// Passed or failed.
#[derive(Debug, Group)]
pub struct Outcome {
    /// 不通过 It is not done
    #[arg(long)]
    pub failed: bool,
    /// 看到的情况 What was seen
    #[arg(long, default_value = "")]
    pub text: String,
}

/// Facts of a finding.
#[derive(Debug, Group)]
pub struct FactArgs {
    /// 分类代码 Category code, see `shaodao directory categories`
    #[arg(long)]
    pub category: Option<String>,
    /// 位置 Where: latitude,longitude, or with the accuracy in metres behind
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// 网格代码,默认按位置 Grid code; by the position if not given
    #[arg(long)]
    pub grid: Option<String>,
    /// 地址 Address in words
    #[arg(long)]
    pub address: Option<String>,
    /// 详细情况 The whole story
    #[arg(long)]
    pub description: Option<String>,
    /// 1 轻微 到 4 危及生命 Severity, 1 (minor) to 4 (danger to life)
    #[arg(long)]
    pub severity: Option<i64>,
}

/// 上报问题,一个或一批。 Report one finding, or many.
#[derive(Debug, Group)]
#[command(after_help = "\
例 Examples:
  shaodao report 井盖破损 --category C0101 --at 25.0420,102.7065,8
  shaodao report --batch patrol.jsonl
  一行一个 One line each: {\"title\":\"井盖破损\",\"category\":\"C0101\",\"grid\":\"530102001006001\"}")]
pub struct Report {
    /// 一句话说清 One line
    #[arg(required_unless_present = "batch")]
    pub title: Option<String>,
    #[command(flatten)]
    pub facts: FactArgs,
    /// 明知附近有相似问题也要上报 Report although something similar is nearby
    #[arg(long)]
    pub again: bool,
    /// 现场照片,可多张 Photos of the scene
    #[arg(long = "photo", value_name = "FILE", conflicts_with = "batch", num_args = 1..)]
    pub photos: Vec<PathBuf>,
    /// 每行一个 JSON 的文件,- 为标准输入 File with one JSON object a line; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "title")]
    pub batch: Option<PathBuf>,
}

/// A self-resolution.
#[derive(Debug, Group)]
pub struct SelfResolve {
    /// 问题 Finding
    pub finding: String,
    /// 怎么处理的 What was done
    pub text: String,
    /// 处理前照片 Photos before
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub before: Vec<PathBuf>,
    /// 处理后照片 Photos after
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub after: Vec<PathBuf>,
}

/// 附证:照片须为 JPEG、PNG 或 WebP。 Photos are JPEG, PNG or WebP.
#[derive(Debug, Group)]
#[command(after_help = "\
例 Examples:
  shaodao attach 3f2a near.jpg far.jpg
  shaodao attach 3f2a done.jpg --shows after --at 25.0420,102.7065,8")]
pub struct Attach {
    /// 记录 Record
    pub record: String,
    /// 文件 Files
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// 是什么 What they show
    #[arg(long, value_enum, default_value = "scene")]
    pub shows: ShowsWhat,
    /// 拍摄位置 Where they were taken
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub at: Option<String>,
}

/// What evidence shows.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ShowsWhat {
    /// 现场 The scene
    Scene,
    /// 处理前 Before
    Before,
    /// 处理后 After
    After,
    /// 录音 Somebody speaks
    Voice,
    /// 文件 A document
    File,
}

/// Which evidence, in which form, to where.
#[derive(Debug, Group)]
pub struct Fetch {
    /// 记录 Record
    pub record: String,
    /// 哪一份(evidence 列出,写前几位即可) Which, as `evidence` lists it
    pub piece: String,
    /// 哪种 In which form
    #[arg(long, value_enum, default_value = "original")]
    pub form: EvidenceForm,
    /// 写水印用的中文字体文件 A font with Chinese signs, for the words of a watermark
    #[arg(
        long,
        value_name = "FILE",
        env = "SHAODAO_FONT",
        required_if_eq("form", "watermark")
    )]
    pub font: Option<PathBuf>,
    /// 存到哪里 Into which file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Forms of evidence.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EvidenceForm {
    /// 原件 As it was taken
    Original,
    /// 浏览图 Smaller, for looking at
    Display,
    /// 缩略图 Very small
    Thumbnail,
    /// 水印图:图下写明时间、地点、网格、姓名 With when, where and by whom below it
    Watermark,
}

/// What is kept of photos that have arrived.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum KeepForm {
    /// 原图 Everything
    Original,
    /// 浏览图 Display copies
    Display,
    /// 缩略图 Thumbnails
    Thumbnail,
}

/// What is sent.
#[derive(Debug, Group)]
pub struct SyncArgs {
    /// 何时传照片原图 When originals of photos are sent
    #[arg(long, value_enum, default_value = "now")]
    pub evidence: EvidenceWhen,
    /// 现在用什么网络 What this phone is connected by
    #[arg(long, value_enum, default_value = "mobile")]
    pub link: LinkBy,
}

/// When originals are sent.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EvidenceWhen {
    /// 随时 On any connection
    Now,
    /// 仅无线网络 On Wi-Fi
    Wifi,
    /// 仅在站点 At the station
    Station,
    /// 都不传 No evidence at all
    None,
}

impl From<EvidenceWhen> for Setting {
    fn from(when: EvidenceWhen) -> Self {
        match when {
            EvidenceWhen::Now => Self::Now,
            EvidenceWhen::Wifi => Self::Wifi,
            EvidenceWhen::Station => Self::Station,
            EvidenceWhen::None => Self::Never,
        }
    }
}

/// What a phone is connected by.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LinkBy {
    /// 移动网络 Mobile data
    Mobile,
    /// 无线网络 Wi-Fi
    Wifi,
    /// 站点无线网络 The Wi-Fi of the station
    Station,
}

impl From<LinkBy> for Link {
    fn from(link: LinkBy) -> Self {
        match link {
            LinkBy::Mobile => Self::Mobile,
            LinkBy::Wifi => Self::Wifi,
            LinkBy::Station => Self::Station,
        }
    }
}

/// 吹哨:社区书记吹社区哨,街道调度员吹街道哨。 The level follows from your role.
#[derive(Debug, Group)]
#[command(after_help = "\
例 Examples:
  shaodao whistle 处置燃气泄漏 --finding 3f2a --target P01006-06 --due 2h
  shaodao whistle 周末清洁日 --target org:A01 --voluntary org:A02 --platform 2 --due '2026-11-28 18:00'")]
pub struct Whistle {
    /// 要做什么 What is to be done, in one line
    pub title: String,
    /// 要解决的问题,可多个 Findings to solve
    #[arg(long = "finding", value_name = "FINDING")]
    pub findings: Vec<String>,
    #[command(flatten)]
    pub targets: Targets,
    /// 平台 1 职能部门 2 区域联盟 3 党组织 4 社会力量 5 网格 Platform, 1 to 5 [default: 5 community, 1 street]
    #[arg(long)]
    pub platform: Option<u8>,
    /// 地点,默认取第一个问题的位置 Where; by the first finding if not given
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// 办结期限,2h、1d 或 '2026-11-25 18:00',默认按分类 Due; by the category if not given
    #[arg(long)]
    pub due: Option<String>,
    /// 签收期限 By when the targets have to sign
    #[arg(long, value_name = "DUE")]
    pub sign_by: Option<String>,
    /// 报到期限 By when the targets have to be on site
    #[arg(long, value_name = "DUE")]
    pub report_by: Option<String>,
    /// 具体要求 The order in full
    #[arg(long)]
    pub description: Option<String>,
    /// 社区代码,管多个社区时要写 Area code, if you blow for more than one
    #[arg(long)]
    pub area: Option<String>,
}

/// Who is summoned.
#[derive(Debug, Group)]
pub struct Targets {
    /// 必到方,第一个为主办:工号、姓名、单位或 post:网格/岗位 Mandatory targets, the first one leads
    #[arg(long = "target", value_name = "TARGET", required = true)]
    pub mandatory: Vec<String>,
    /// 自愿方 Voluntary targets
    #[arg(long = "voluntary", value_name = "TARGET")]
    pub voluntary: Vec<String>,
}

/// A whistle and for which target one acts.
#[derive(Debug, Group)]
pub struct AsTarget {
    /// 哨令 Whistle
    pub whistle: String,
    /// 代表哪个应哨方,只有一个时可省 For which target; may be left out if it is clear
    #[arg(long = "for", value_name = "TARGET")]
    pub party: Option<String>,
}

/// A ruling on a request.
#[derive(Debug, Group)]
pub struct Rule {
    /// 哨令 Whistle
    pub whistle: String,
    /// 哪一项申请,只有一项时可省 Which request, by the beginning of its action; may be left out if it is clear
    #[arg(long)]
    pub request: Option<String>,
    /// 同意 Grant it
    #[arg(long, conflicts_with = "refuse", required_unless_present = "refuse")]
    pub grant: bool,
    /// 不同意 Refuse it; say why with --text
    #[arg(long)]
    pub refuse: bool,
    /// 批准的日期,默认按申请 The approved date, if it differs from the asked one
    #[arg(long, conflicts_with = "refuse")]
    pub until: Option<String>,
    /// 说明 In words
    #[arg(long, default_value = "")]
    pub text: String,
}

/// What to list.
#[derive(Debug, Group)]
pub struct List {
    /// 问题或哨令 Findings or whistles
    #[arg(value_enum, default_value = "findings")]
    pub what: Records,
    /// 阶段,如 reported、accepted、issued Stage
    #[arg(long)]
    pub stage: Option<String>,
    /// 区域代码 Area code (findings)
    #[arg(long)]
    pub area: Option<String>,
    /// 分类代码或其开头 Category code or its beginning (findings)
    #[arg(long)]
    pub category: Option<String>,
    /// 只看有分歧的 Only where people disagree (findings)
    #[arg(long)]
    pub conflicts: bool,
    /// 只看没办完的 Only open ones (whistles)
    #[arg(long)]
    pub open: bool,
    /// 只看哨令的这个应哨方 Only those that summon this target (whistles)
    #[arg(long)]
    pub target: Option<String>,
    /// 最多几条 At most so many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

/// The two kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Records {
    /// 问题
    Findings,
    /// 哨令
    Whistles,
}

/// Parts of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// 人员
    People,
    /// 单位
    Organisations,
    /// 网格
    Grids,
    /// 岗位
    Posts,
    /// 分类
    Categories,
}

/// Kinds of personal data.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Private {
    /// 姓名 A resident's name
    Name,
    /// 电话 A telephone number
    Phone,
    /// 住址 Where somebody lives
    Home,
    /// 私密备注 A private note
    Note,
}

/// Which whistles to count, and how to put them together.
#[derive(Debug, clap::Args)]
pub struct Stats {
    /// 按什么分组 Put together by
    #[arg(long, value_enum, default_value = "community")]
    pub by: GroupBy,
    /// 从哪天起(含),默认今年一月一日 From this day on [default: the first of January]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: Option<chrono::NaiveDate>,
    /// 到哪天止(含),默认今天 To this day, included [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub to: Option<chrono::NaiveDate>,
    /// 只算这个区域吹的哨 Only whistles blown in this area
    #[arg(long)]
    pub area: Option<String>,
}

/// What statistics are put together by.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum GroupBy {
    /// 全街道 All of them
    Street,
    /// 社区 By blowing community
    Community,
    /// 平台 By platform
    Platform,
    /// 部门和单位 By summoned organisation
    Department,
    /// 岗位 By summoned post
    Post,
}
