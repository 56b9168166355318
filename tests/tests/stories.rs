//! What the people of the street live through.

mod stories {
    mod at_rest;
    mod disagreement;
    mod end_to_end;
    mod escalation;
    mod privacy;
    mod statistics;
    mod storage;
}
