//! Why something was not done: a stable code for programs, one plain sentence
//! in Chinese and one in English for people. Every refusal in the system, on
//! the phone or from the server, carries one of these. What is kept of the
//! refused action is the standing's to say, not the reason's.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $code:literal $zh:literal $en:literal;)*) => {
        /// Why an action was not applied.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of this file.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The stable code, in `snake_case`.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)* }
            }

            /// One plain Chinese sentence.
            pub fn zh(self) -> &'static str {
                match self { $(Reason::$name => $zh,)* }
            }

            /// One plain English sentence.
            pub fn en(self) -> &'static str {
                match self { $(Reason::$name => $en,)* }
            }
        }
    };
}

reasons! {
    // Rights.
    /// Nobody by that name in the directory.
    UnknownPerson "unknown_person"
        "名录中没有此人,请联系管理员。"
        "This person is not in the directory; ask the administrator.";
    /// The role does not allow the action.
    NotYourRole "not_your_role"
        "您的角色不能做这一步,可请社区书记办理。"
        "Your role may not do this; the community secretary can.";
    /// The record lies outside the person's area.
    NotYourArea "not_your_area"
        "这件事不在您的责任区内。"
        "This record is outside your area.";
    /// Somebody else's report.
    NotYours "not_yours"
        "只有本人可以改动。"
        "Only its author may change this.";
    /// The person does not act for the target.
    NotATarget "not_a_target"
        "您不是这道哨令的应哨方。"
        "You are not a target of this whistle.";
    /// Who handled it must not verify it.
    OwnWork "own_work"
        "不能核实自己处理的事,请他人到场核实。"
        "Nobody verifies their own work; ask somebody else to look on site.";
    /// Who is scored must not give the score.
    OwnScore "own_score"
        "不能给自己评分。"
        "Nobody evaluates themselves.";
    /// Only the blower may do this.
    NotTheBlower "not_the_blower"
        "只有吹哨方可以这样做。"
        "Only the blower may do this.";
    /// Not the one whose answer was demanded.
    NotAnswerable "not_answerable"
        "这次督办不是要您回复。"
        "This answer was demanded of somebody else.";
    /// Only the server does this.
    OnlyTheServer "only_the_server"
        "这一步由服务器完成。"
        "Only the server does this.";

    // State.
    /// The record does not exist here.
    NoSuchRecord "no_such_record"
        "找不到这条记录。"
        "There is no such record.";
    /// The record exists already.
    AlreadyExists "already_exists"
        "这条记录已经存在。"
        "This record exists already.";
    /// The record is closed, withdrawn, merged or cancelled.
    Closed "closed"
        "这件事已经办结。"
        "This record is closed already.";
    /// The finding was merged into another one.
    Merged "merged"
        "这个问题已并入另一个问题,请到保留的那个问题上办理。"
        "This finding was merged into another one; act on the one that stays.";
    /// The finding has been accepted or declined already.
    AlreadyDecided "already_decided"
        "这个问题已经受理或退回。"
        "This finding was decided already.";
    /// It must be accepted first.
    NotAccepted "not_accepted"
        "这个问题还没有受理。"
        "This finding is not accepted yet.";
    /// Nothing to review.
    NothingToReview "nothing_to_review"
        "没有待复核的自处置。"
        "There is nothing to review.";
    /// The whistle summons nobody by that name.
    NoSuchTarget "no_such_target"
        "这道哨令没有这个应哨方。"
        "This whistle has no such target.";
    /// Feedback before arrival.
    NotArrived "not_arrived"
        "还没有报到,请先报到再反馈。"
        "Nobody has reported in yet; report in first, then give feedback.";
    /// Verification before feedback.
    NotFedBack "not_fed_back"
        "应哨方还没有反馈,不能核实。"
        "There is no feedback to verify yet.";
    /// The target was released.
    Released "released"
        "吹哨方已经放人。"
        "The blower has released this target already.";
    /// The target was excused, or its objection upheld.
    Excused "excused"
        "吹哨方已经免责或同意退单。"
        "The blower has excused this target already.";
    /// The volunteer has declined.
    Declined "declined"
        "这个自愿方已经谢绝。"
        "This voluntary target has declined already.";
    /// A mandatory target does not decline.
    NotVoluntary "not_voluntary"
        "必到方不能谢绝,可以退单说明理由。"
        "A mandatory target cannot decline; it may object.";
    /// Somebody is on site already.
    AlreadyArrived "already_arrived"
        "已经有人报到,不能再谢绝。"
        "Somebody has reported in already, so the summons cannot be declined.";
    /// One objection per target.
    AlreadyObjected "already_objected"
        "每个应哨方只能退单一次。"
        "A target objects once only.";
    /// The request does not exist, or had no effect itself.
    NoSuchRequest "no_such_request"
        "没有这项申请。"
        "There is no such request.";
    /// Somebody has ruled on the request.
    AlreadyRuled "already_ruled"
        "这项申请已经有裁定。"
        "This request was ruled on already.";
    /// The clock runs.
    NotSuspended "not_suspended"
        "这道哨令没有挂账。"
        "The clock of this whistle is not stopped.";
    /// A recomputed limit starts where the old one did.
    ClockRestarted "clock_restarted"
        "重算期限不能改动起算时间。"
        "The clock keeps its start when the due time is recomputed.";
    /// Nobody demanded that answer.
    NoSuchSupervision "no_such_supervision"
        "没有这次督办。"
        "Nobody has demanded this answer.";
    /// The answer was given.
    AlreadyAnswered "already_answered"
        "这次督办已经回复。"
        "This demand was answered already.";
    /// Asked for after the due time.
    PastDue "past_due"
        "期限已过,不能再申请延期或挂账。"
        "The due time has passed; a later one or a pause can no longer be asked for.";
    /// The new due time is not later.
    NotLater "not_later"
        "新的日期必须晚于现在的期限。"
        "The new date has to be later than the present one.";
    /// Not at the whistle's place, and no word why.
    AwayFromPlace "away_from_place"
        "不在哨令地点附近(或没有定位),请写明原因。"
        "This is not at the whistle's place, or no position is known; say why.";
    /// Scored by the same person before.
    AlreadyScored "already_scored"
        "您已经评过分。"
        "You have given this score already.";
    /// A mandatory target is neither released nor excused.
    TargetsOpen "targets_open"
        "还有必到的应哨方没有办完,不能结项。"
        "A mandatory target is neither done nor excused; the whistle cannot be concluded.";
    /// Evaluation before conclusion.
    NotConcluded "not_concluded"
        "还没有结项,不能评价。"
        "The whistle is not concluded; it cannot be evaluated yet.";
    /// Escalated in this round already.
    AlreadyEscalated "already_escalated"
        "已经上报街道。"
        "This whistle was escalated already.";
    /// No escalation to withdraw.
    NotEscalated "not_escalated"
        "没有可解除的升级。"
        "There is no escalation to stand down.";
    /// The dispatcher has decided already.
    AlreadyUpheld "already_upheld"
        "调度员已经裁定维持这次升级。"
        "The dispatcher has decided already that this escalation stands.";
    /// Another mark is in force.
    AlreadyMarked "already_marked"
        "已经提请区级督办。"
        "This whistle is marked for the district already.";
    /// No mark to withdraw.
    NotMarked "not_marked"
        "没有可撤销的区级督办标记。"
        "There is no mark for the district to withdraw.";
    /// A whistle of this level has nowhere to go.
    NoHigherLevel "no_higher_level"
        "已经是街道级哨令,没有更高一级可以上报。"
        "This is a street whistle already; there is no higher level here.";
    /// No such personal data here.
    NothingConfided "nothing_confided"
        "这里没有这条隐私信息。"
        "There is no such personal data here.";
    /// The personal data was erased.
    Erased "erased"
        "这条隐私信息已经擦除。"
        "This personal data was erased already.";
    /// No such evidence here.
    NoSuchEvidence "no_such_evidence"
        "这里没有这份佐证。"
        "There is no such evidence here.";
    /// The evidence was erased.
    EvidenceErased "evidence_erased"
        "这份佐证已经擦除。"
        "This evidence was erased already.";
    /// The same bytes are attached already.
    AttachedAlready "attached_already"
        "这份佐证已经附在这里。"
        "This evidence is attached here already.";
    /// A conclusion, or a verification that passed, and one that failed at the
    /// same time.
    Overtaken "overtaken"
        "有人同时核实不通过,以返工为准。"
        "Somebody failed the verification at the same time; rework wins.";
    /// Written by a newer app.
    NeedsNewerApp "needs_newer_app"
        "这一步由新版应用写成,请更新后查看。"
        "A newer app wrote this step; update to see it.";

    // Content.
    /// A required text is empty.
    Empty "empty"
        "必填内容为空。"
        "A required text is empty.";
    /// A text or list is too long.
    TooLong "too_long"
        "内容太长。"
        "The text or list is too long.";
    /// A number is outside its range.
    OutOfRange "out_of_range"
        "数值超出范围。"
        "A value is out of range.";
    /// The category is in no code pack.
    UnknownCategory "unknown_category"
        "没有这个分类代码。"
        "There is no such category code.";
    /// The grid or area is not in the directory.
    UnknownArea "unknown_area"
        "没有这个网格或区域。"
        "There is no such grid or area.";
    /// The facts do not belong to the action.
    FactNotAllowed "fact_not_allowed"
        "这一步不能改动这些内容。"
        "This action may not write these facts.";
    /// More pieces than one action or one record may have.
    TooManyPieces "too_many_pieces"
        "佐证太多:一次最多20份,一条记录最多100份。"
        "Too many pieces of evidence: at most 20 at once, 100 on one record.";
    /// Larger than evidence of its kind may be.
    PieceTooLarge "piece_too_large"
        "文件太大:照片和文件最大20MiB,录音最大10MiB。"
        "The file is too large: a photo or file may have 20 MiB, a voice note 10 MiB.";
    /// Its type does not go with what it shows.
    WrongMedia "wrong_media"
        "类型不对:照片须为JPEG、PNG或WebP,录音须为常见音频,文件须为PDF或文本。"
        "The wrong type: photos are JPEG, PNG or WebP, voice notes a common kind of audio, files PDF or text.";
    /// The record is full.
    RecordFull "record_full"
        "这条记录的操作已达上限(500次)。"
        "This record holds 500 actions, the most it can.";

    // Envelopes.
    /// Larger than 32 KiB.
    TooLarge "too_large"
        "这条操作超过32KiB。"
        "The envelope is larger than 32 KiB.";
    /// Not the canonical form.
    NotCanonical "not_canonical"
        "数据格式不正确。"
        "The envelope is not in canonical form.";
    /// The signature does not verify.
    BadSignature "bad_signature"
        "签名不正确。"
        "The signature does not verify.";
    /// No such device.
    UnknownDevice "unknown_device"
        "服务器不认识这台设备。"
        "The server does not know this device.";
    /// The device belongs to somebody else.
    WrongPerson "wrong_person"
        "这台设备登记在别人名下。"
        "This device is enrolled for somebody else.";
    /// Addressed to another street.
    WrongStreet "wrong_street"
        "这条操作属于别的街道。"
        "The envelope belongs to another street.";
    /// Two envelopes with one chain number.
    Cloned "cloned"
        "这台设备的编号被用了两次,可能有两台手机共用一个身份,请联系管理员。"
        "This device used one chain number twice, perhaps two phones share an identity; ask the administrator.";
    /// The device was suspended when it arrived.
    DeviceSuspended "device_suspended"
        "这台手机已被停用,这条操作已另存,可请管理员核对后放行。"
        "This phone is suspended; the action is kept apart, the administrator can check and release it.";
    /// The device was revoked when it arrived.
    DeviceRevoked "device_revoked"
        "这台手机已被注销,这条操作已另存,可请管理员核对后放行。"
        "This phone was revoked; the action is kept apart, the administrator can check and release it.";
    /// An administrator looked at it and sent it back.
    Returned "returned"
        "管理员核对后退回,没有入账;如仍需要,请重做这一步。"
        "The administrator looked at this and sent it back; do it again if it is still needed.";
    /// An action this one builds on has not arrived.
    WaitingForOthers "waiting_for_others"
        "它所依据的操作还没有到达,到达后自动处理。"
        "What this builds on has not arrived yet; it is judged as soon as that does.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.en())
    }
}

impl Reason {
    /// Finds a reason by its code; `None` for a code of a newer build.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own_and_two_sentences() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
            assert!(reason.zh().ends_with('。') && reason.en().ends_with('.'));
            assert!(
                Reason::ALL[..at]
                    .iter()
                    .all(|other| other.code() != reason.code())
            );
        }
    }
}
