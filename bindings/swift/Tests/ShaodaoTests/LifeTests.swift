import Foundation
import Shaodao
import XCTest

/// What the system does to an app: many threads, no time, no network, no memory.
final class LifeTests: Story {
    /// A server that hangs: the sync can be left, the phone goes on working meanwhile
    /// and afterwards.
    func testASyncIsCancelled() async throws {
        let phone = try await enrolled(xiao)
        _ = try await phone.report(form: leak("漏气"))
        server.freeze()
        let sync = Task { try await phone.untilCancelled { try await $0.sync() } }
        try await until(phone) { $0.inFlight == 1 }
        _ = try await phone.report(form: leak("又漏气"))
        let total = try await phone.findings(filter: FindingFilter()).total
        XCTAssertEqual(total, 2)
        sync.cancel()
        let stopped = try await error { _ = try await sync.value }
        XCTAssertEqual(stopped.kind, "cancelled")
        try await until(phone) { !$0.running }

        let again = Task { try await phone.sync() }
        try await until(phone) { $0.running }
        try phone.cancel()
        let told = try await error { _ = try await again.value }
        guard case .Cancelled = told else { return XCTFail("\(told)") }
        let late = try await phone.runBackground(maxSeconds: 0, setting: .now, link: .wifi)
        XCTAssertFalse(late.finished)

        server.wake()
        _ = try await phone.sync()
        let pending = try await phone.status().pending
        XCTAssertEqual(pending, 0)
        try await phone.shutdown()
    }

    /// Suspended, the files are closed and calls say so; afterwards everything is
    /// there.
    func testTheAppGoesToTheBackgroundAndComesBack() async throws {
        let phone = try await enrolled(xiao)
        _ = try await phone.report(form: leak("漏气"))
        try await phone.suspend()
        let closed = try await error { _ = try await phone.findings(filter: FindingFilter()) }
        XCTAssertEqual(closed.kind, "closed")
        try await phone.resume()
        let total = try await phone.findings(filter: FindingFilter()).total
        XCTAssertEqual(total, 1)
        let done = try await phone.runBackground(maxSeconds: 60, setting: .now, link: .wifi)
        XCTAssertEqual(done.synced.accepted, 1)
        let room = try await phone.storage()
        XCTAssertGreaterThan(room.databaseBytes, 0)
        _ = try await phone.purge(aside: false)
        try await phone.shutdown()
        let ended = try await error { try await phone.resume() }
        guard case .Closed = ended else { return XCTFail("\(ended)") }
    }

    /// The wrong key opens nothing and changes nothing.
    func testAnotherKeyDoesNotOpenThePhone() async throws {
        let key = try newKey()
        try await open("mine", key: key).shutdown()
        let wrong = try await error { _ = try await open("mine") }
        XCTAssertEqual(wrong.kind, "wrong_key")
        try await open("mine", key: key).shutdown()
    }

    /// A thousand calls at once, reads and writes: every one is answered, none is
    /// lost.
    func testAThousandCallsAtOnce() async throws {
        let phone = try await enrolled(xiao)
        let answered = try await withThrowingTaskGroup(of: Int.self) { calls in
            for nth in 1...1_000 {
                calls.addTask {
                    switch nth % 10 {
                    case 0: try await phone.report(form: leak("第 \(nth) 处")).record.count
                    default: try await phone.findings(filter: FindingFilter()).rows.count
                    }
                }
            }
            return try await calls.reduce(into: 0) { count, _ in count += 1 }
        }
        XCTAssertEqual(answered, 1_000)
        let total = try await phone.findings(filter: FindingFilter()).total
        XCTAssertEqual(total, 100)
        try await phone.shutdown()
    }

    /// A listener is told, damped, for as long as somebody listens.
    func testListenersAreToldToLookAgain() async throws {
        let phone = try await open("nobody")
        let changes = try phone.changes()
        let told = Task { await changes.first { _ in true } != nil }
        let changing = Task {
            while !Task.isCancelled { try await change(phone) }
        }
        let heard = await told.value
        XCTAssertTrue(heard)
        changing.cancel()
        _ = await changing.result

        let (stays, left) = (Count(), Count())
        let subscription = try phone.subscribe(listener: Counting(stays))
        try phone.subscribe(listener: Counting(left)).cancel()
        let before = left.number
        for _ in 1...3 {
            let soFar = stays.number
            while stays.number == soFar { try await change(phone) }
        }
        XCTAssertEqual(left.number, before)
        try subscription.cancel()
        try await phone.shutdown()
    }

    /// Ten thousand handles opened and closed leave nothing behind.
    func testNothingLeaks() async throws {
        let phone = try await open("nobody")
        let held = Count()
        func openAndClose(_ times: Int) async throws {
            for _ in 1...times { _ = try phone.subscribe(listener: Deaf(held)) }
            // Until the library has let every listener go.
            while held.number > 0 { _ = try await phone.mended() }
        }
        try await openAndClose(2_000)
        let before = try (residentMiB(), openFiles())
        try await openAndClose(10_000)
        for nth in 1...20 { try await open("phone \(nth)").shutdown() }
        let after = try (residentMiB(), openFiles())
        XCTAssertLessThan(after.0 - before.0, 64, "MiB more")
        XCTAssertEqual(after.1, before.1, "open files")
        try await phone.shutdown()
    }

    private func openFiles() throws -> Int {
        let all = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        return all.filter {
            let file = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/self/fd/\($0)")
            return file?.hasPrefix(folder.path) == true
        }.count
    }

    private func residentMiB() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return Int(line?.filter(\.isNumber) ?? "")! / 1024
    }
}

/// Something that listeners are told of.
private func change(_ phone: Phone) async throws {
    try await phone.suspend()
    try await phone.resume()
}

/// How many of something there are, or have been.
private final class Count: @unchecked Sendable {
    private let lock = NSLock()
    private var so = 0

    var number: Int { lock.withLock { so } }

    func add(_ more: Int) {
        lock.withLock { so += more }
    }
}

private final class Deaf: ChangeListener {
    private let held: Count

    init(_ held: Count) {
        self.held = held
        held.add(1)
    }

    deinit {
        held.add(-1)
    }

    func lookAgain() {}
}

private final class Counting: ChangeListener {
    private let told: Count

    init(_ told: Count) {
        self.told = told
    }

    func lookAgain() {
        told.add(1)
    }
}
