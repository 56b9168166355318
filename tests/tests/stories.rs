//! What the people of the street live through.

mod stories {
    mod end_to_end;
    mod escalation;
    mod disagreement;
    mod storage;
}
