import Foundation
import Shaodao
import XCTest

/// What people do with their phones, against a real server process.
final class StoriesTests: Story {
    /// A wrong ticket, then the right one: nobody is enrolled before a person has
    /// compared the code.
    func testAPhoneBecomesSomebodys() async throws {
        let phone = try await open("xiao")
        let nobody = try await phone.owner()
        XCTAssertNil(nobody)
        let wrong = try await error {
            _ = try await phone.enrolTyped(server: server.address, ticket: "abc")
        }
        guard case .Enrolment = wrong else { return XCTFail("\(wrong)") }
        XCTAssertEqual(wrong.kind, "not_a_ticket")
        XCTAssertTrue(wrong.said.zh.contains("登记码"), wrong.said.zh)
        let pending = try await phone.enrolTyped(
            server: server.address, ticket: try server.ticket(xiao))
        XCTAssertEqual(pending.checkCode.count, 6)
        let waiting = try await phone.pendingEnrolment()
        XCTAssertEqual(waiting, pending)
        let early = try await phone.finishEnrolment()
        XCTAssertNil(early)
        try server.confirm(pending.checkCode)
        let owner = try await phone.finishEnrolment()
        XCTAssertEqual(owner?.name, "萧桂英")
        let grids = try await phone.me().grids.map(\.code)
        XCTAssertEqual(grids, ["530102001006001"])
        try await phone.shutdown()
    }

    /// Everything done without a signal is kept, listed, and accepted in the
    /// evening.
    func testADayOffline() async throws {
        let phone = try await enrolled(xiao)
        var saved: [Saved] = []
        for nth in 1...5 {
            hours.now += hour
            saved.append(try await phone.report(form: leak("漏气 \(nth)")))
        }
        _ = try await phone.correct(record: saved[0].record, form: Form(address: "北门街 5 号"))
        let first = try await phone.findings(filter: FindingFilter(), limit: 2)
        XCTAssertEqual(first.rows.map(\.title), ["漏气 5", "漏气 4"])
        XCTAssertEqual(first.total, 5)
        let second = try await phone.findings(filter: FindingFilter(), after: first.next, limit: 2)
        XCTAssertEqual(second.rows.map(\.title), ["漏气 3", "漏气 2"])
        var window = MapWindow(south: 25.041, west: 102.706, north: 25.043, east: 102.708)
        var shown = try await phone.findings(filter: FindingFilter(window: window)).total
        XCTAssertEqual(shown, 5)
        window.south = 30
        window.north = 31
        shown = try await phone.findings(filter: FindingFilter(window: window)).total
        XCTAssertEqual(shown, 0)
        let found = try await phone.search(text: "漏气 3")
        XCTAssertEqual(found.count, 1)
        var status = try await phone.status()
        XCTAssertEqual(status.pending, 6)

        try await server.setClock(hours.now)
        let done = try await phone.sync()
        XCTAssertEqual(done.accepted, 6)
        status = try await phone.status()
        XCTAssertEqual(status.pending, 0)
        XCTAssertNotNil(status.lastContactMs)
        let detail = try await phone.finding(finding: saved[0].record)
        XCTAssertEqual(detail.row.number, "")  // Nobody has accepted it yet.
        XCTAssertEqual(detail.timeline.prefix(2).map(\.word), ["report", "correct"])
        XCTAssertTrue(detail.timeline.allSatisfy { $0.standing == .accepted })
        XCTAssertEqual(detail.facts.first { $0.name == "address" }?.value, "北门街 5 号")
        try await phone.shutdown()
    }

    /// The whole loop: accepted, blown, answered, verified, concluded, evaluated.
    func testAWhistleGoesItsWay() async throws {
        let secretary = try await enrolled(xu)
        let member = try await enrolled(xiao)
        let finding = try await member.report(form: leak("燃气泄漏")).record
        _ = try await member.sync()
        _ = try await secretary.sync()
        let toAccept = try await secretary.todo().map(\.question)
        XCTAssertEqual(toAccept, [.accept])
        _ = try await secretary.actOnFinding(finding: finding, act: .accept)
        let target = "person:\(xiao)"
        let whistle = try await secretary.blow(
            call: Call(
                form: Form(title: "处理燃气泄漏"), findings: [finding],
                targets: [Summons(party: target, lead: true, mandatory: true)])
        ).record
        _ = try await secretary.sync()
        _ = try await member.sync()
        let todo = try await member.todo()
        XCTAssertEqual(todo.map(\.question), [.answer])
        XCTAssertEqual(todo.first?.light, .green)
        for act: WhistleAct in [
            .sign(party: target), .arrive(party: target, heads: 2, place: here, away: nil),
            .feedback(party: target, text: "已关阀"),
        ] {
            _ = try await member.actOnWhistle(whistle: whistle, act: act)
        }
        _ = try await member.sync()
        _ = try await secretary.sync()
        for act: WhistleAct in [
            .verify(party: target, passed: true, text: "现场已看"), .conclude(text: "已处理"),
            .evaluate(party: target, score: 5, text: "很快"),
        ] {
            _ = try await secretary.actOnWhistle(whistle: whistle, act: act)
        }
        _ = try await secretary.sync()
        _ = try await member.sync()
        let detail = try await member.whistle(whistle: whistle)
        XCTAssertEqual(detail.row.stage, .evaluated)
        XCTAssertEqual(detail.targets.map(\.heads), [2])
        let closed = try await member.finding(finding: finding).row
        XCTAssertEqual(closed.stage, .closed)
        XCTAssertFalse(closed.number.isEmpty)
        try await secretary.shutdown()
        try await member.shutdown()
    }

    /// Two people correct one title without knowing of each other: both values stay
    /// until somebody decides.
    func testAConflictIsShownAndDecided() async throws {
        let secretary = try await enrolled(xu)
        let member = try await enrolled(xiao)
        let finding = try await member.report(form: leak("漏气")).record
        _ = try await member.sync()
        _ = try await secretary.sync()
        _ = try await member.correct(record: finding, form: Form(title: "北门街漏气"))
        _ = try await secretary.correct(record: finding, form: Form(title: "小西门漏气"))
        for phone in [member, secretary, member] {
            _ = try await phone.sync()
        }
        let titles = try await member.finding(finding: finding).facts.filter { $0.name == "title" }
        let said = Set(titles.flatMap { $0.others + [$0.value] })
        XCTAssertEqual(said, ["北门街漏气", "小西门漏气"])
        let rows = try await member.findings(filter: FindingFilter(conflicts: true)).rows
        XCTAssertEqual(rows.map(\.conflicts), [1])
        _ = try await member.correct(record: finding, form: Form(title: "北门街 5 号漏气"))
        _ = try await member.sync()
        _ = try await secretary.sync()
        let decided = try await secretary.finding(finding: finding).facts.first { $0.name == "title" }
        XCTAssertEqual(decided?.value, "北门街 5 号漏气")
        XCTAssertEqual(decided?.others, [])
        try await secretary.shutdown()
        try await member.shutdown()
    }

    /// A photo travels by path, sealed on the way, and somebody else sees the same
    /// one.
    func testAPhotoIsAttachedSentAndSeen() async throws {
        let (photo, font) = ("../photo/scene.png", "../../.tools/font.ttc")
        let secretary = try await enrolled(xu)
        let member = try await enrolled(xiao)
        let finding = try await member.report(form: leak("漏气")).record
        let none = try await error {
            _ = try await member.attach(
                record: finding, files: [Attachment(path: "none.png", shows: .scene)])
        }
        guard case .Input(_, "path") = none else { return XCTFail("\(none)") }
        _ = try await member.attach(
            record: finding, files: [Attachment(path: photo, shows: .scene)])
        let here = try await member.finding(finding: finding).evidence[0]
        XCTAssertEqual(here.arrival, .onPhone)
        XCTAssertTrue(here.originalHere && here.thumbnailHere)
        let room = try await member.storage()
        XCTAssertGreaterThan(room.evidenceBytes, here.sizeBytes)
        _ = try await member.sync()
        var sent = try await member.sendEvidence(setting: .wifi, link: .mobile)
        XCTAssertEqual(sent.originals, 0)
        sent = try await member.sendEvidence(setting: .wifi, link: .wifi)
        XCTAssertEqual(sent.originals, 1, "\(sent)")
        _ = try await member.sync()
        let onTheWay = try await member.status().evidence
        XCTAssertEqual(onTheWay, 0)
        let arrived = try await member.finding(finding: finding).evidence[0]
        XCTAssertEqual(arrived.arrival, .atServer)
        _ = try await secretary.sync()
        let seen = try await secretary.finding(finding: finding).evidence[0]
        XCTAssertEqual(seen.piece, here.piece)
        XCTAssertEqual(seen.arrival, .atServer)
        let small = try await secretary.thumbnail(record: finding, piece: seen.piece)
        XCTAssertNotNil(small)
        let copy = folder.appendingPathComponent("seen.png")
        try await secretary.saveEvidence(record: finding, piece: seen.piece, path: copy.path)
        XCTAssertEqual(
            try Data(contentsOf: copy), try Data(contentsOf: URL(fileURLWithPath: photo)))
        try await secretary.savePicture(record: finding, piece: seen.piece, path: copy.path)
        let plain = try Data(contentsOf: copy)
        XCTAssertEqual(plain.prefix(3), Data([0xff, 0xd8, 0xff]))
        try await secretary.saveWatermarked(
            record: finding, piece: seen.piece, font: font, path: copy.path)
        XCTAssertGreaterThan(try Data(contentsOf: copy).count, plain.count)
        do {
            try await secretary.saveWatermarked(
                record: finding, piece: seen.piece, font: photo, path: copy.path)
            XCTFail("a photo is no font")
        } catch PhoneError.Input(let said, let field) {
            XCTAssertEqual([field, said.code], ["font", "not_a_font"])
        }
        try await secretary.shutdown()
        try await member.shutdown()
    }

    /// The system gives the app a second while the server hangs, then a minute without
    /// Wi-Fi, then one with it: nothing is lost, and the photo waits for the connection
    /// that its owner wants.
    func testWhatHappensInTheBackground() async throws {
        let phone = try await enrolled(xiao)
        let finding = try await phone.report(form: leak("漏气")).record
        let photo = Attachment(path: "../photo/scene.png", shows: .scene)
        _ = try await phone.attach(record: finding, files: [photo])
        server.freeze()
        // A sync that hangs holds the network; waiting for it counts, too.
        let hanging = Task { try await phone.sync() }
        try await until(phone) { $0.inFlight == 2 }
        let cut = try await phone.runBackground(maxSeconds: 1, setting: .wifi, link: .wifi)
        XCTAssertFalse(cut.finished)
        XCTAssertEqual([cut.synced.accepted, cut.sent.originals], [0, 0])
        try phone.cancel()
        _ = try await error { _ = try await hanging.value }
        let pending = try await phone.status().pending
        XCTAssertEqual(pending, 2)
        server.wake()

        var done = try await phone.runBackground(maxSeconds: 60, setting: .wifi, link: .mobile)
        XCTAssertTrue(done.finished)
        XCTAssertEqual(done.synced.accepted, 2)
        XCTAssertEqual([done.sent.thumbnails, done.sent.originals], [1, 0])
        var arrival = try await phone.finding(finding: finding).evidence[0].arrival
        XCTAssertEqual(arrival, .onPhone)

        done = try await phone.runBackground(maxSeconds: 60, setting: .wifi, link: .wifi)
        XCTAssertEqual([done.sent.thumbnails, done.sent.originals], [0, 1])
        arrival = try await phone.finding(finding: finding).evidence[0].arrival
        XCTAssertEqual(arrival, .atServer)
        done = try await phone.runBackground(maxSeconds: 60, setting: .now, link: .wifi)
        XCTAssertEqual(done.sent.bytesUp, 0)
        try await phone.shutdown()
    }

    /// What is not possible is refused at once; what has become impossible comes back
    /// with a reason.
    func testARefusalSaysWhy() async throws {
        let secretary = try await enrolled(xu)
        let member = try await enrolled(xiao)
        let finding = try await member.report(form: leak("漏气")).record
        let refused = try await error {
            _ = try await member.actOnFinding(finding: finding, act: .accept)
        }
        guard case .Refused(let said, let action, let stage) = refused else {
            return XCTFail("\(refused)")
        }
        XCTAssertEqual([said.code, action, stage], ["not_your_role", "accept", "reported"])
        XCTAssertTrue(said.zh.hasPrefix("不能受理"), said.zh)
        let unknown = try await error { _ = try await member.finding(finding: "not an id") }
        guard case .Input(_, "record") = unknown else { return XCTFail("\(unknown)") }

        _ = try await member.sync()
        _ = try await secretary.sync()
        _ = try await secretary.actOnFinding(finding: finding, act: .accept)
        _ = try await secretary.sync()
        hours.now += hour
        try await server.setClock(hours.now)
        _ = try await member.actOnFinding(finding: finding, act: .withdraw(reason: "报错了"))
        let done = try await member.sync()
        XCTAssertEqual(done.troubles, 1)
        let trouble = try await member.status().refused.first
        XCTAssertEqual(trouble?.word, "withdraw")
        XCTAssertEqual(trouble?.text, "报错了")
        XCTAssertEqual(trouble?.standing, .late)
        XCTAssertEqual(trouble?.reason?.code, "already_decided")
        let stands = try await member.finding(finding: finding).row.stage
        XCTAssertEqual(stands, .accepted)
        try await secretary.shutdown()
        try await member.shutdown()
    }
}
