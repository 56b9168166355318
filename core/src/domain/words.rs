//! What somebody wrote with an action, for timelines.

use super::action::Body;

/// The free words of an action; `None` if it has none.
pub fn words(body: &Body) -> Option<&str> {
    match body {
        Body::Note { text }
        | Body::SelfResolve { text }
        | Body::Review { text, .. }
        | Body::Feedback { text, .. }
        | Body::Verify { text, .. }
        | Body::Conclude { text }
        | Body::Urge { text }
        | Body::Rule { text, .. }
        | Body::Supervise { text, .. }
        | Body::Reply { text, .. }
        | Body::Evaluate { text, .. }
        | Body::StandDown { text, .. }
        | Body::ProposeStandDown { text, .. }
        | Body::WithdrawMark { text, .. } => Some(text),
        Body::Decline { reason }
        | Body::Withdraw { reason }
        | Body::Reopen { reason }
        | Body::Excuse { reason, .. }
        | Body::Cancel { reason }
        | Body::Erase { reason, .. }
        | Body::EraseEvidence { reason, .. }
        | Body::AskEscalation { reason }
        | Body::DeclineSummons { reason, .. }
        | Body::Object { reason, .. }
        | Body::AskExtension { reason, .. }
        | Body::AskSuspension { reason, .. }
        | Body::Resume { reason }
        | Body::Uphold { reason, .. }
        | Body::Recompute { reason, .. } => Some(reason),
        Body::Arrive { away, .. } => away.as_deref(),
        _ => None,
    }
}
