//! What the people of the street live through.

mod stories {
    mod directory;
    mod disagreement;
    mod end_to_end;
    mod enrolment;
    mod escalation;
    mod quarantine;
    mod storage;
}
