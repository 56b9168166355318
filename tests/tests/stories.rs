//! What the people of the street live through.

mod stories {
    mod disagreement;
    mod doubles;
    mod end_to_end;
    mod escalation;
    mod requests;
    mod storage;
}
