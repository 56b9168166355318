import Foundation
import Shaodao
import XCTest

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// The morning on which every story begins: 2026-11-25 09:00 in Shanghai.
let morning: Int64 = 1_795_568_400_000
let hour: Int64 = 3_600_000

let xu = "P01006-00"  // 徐磊, secretary of 北门 community
let xiao = "P01006-01"  // 萧桂英, member of grid 001
let here = Place(lat: 25.0420, lon: 102.7065, accuracyM: 8, source: .gps)

func leak(_ title: String) -> Form {
    Form(title: title, category: "E0403", severity: 4, place: here, grid: "530102001006001")
}

struct Failed: Error {
    let said: String
}

/// A real server process on a free port, with an administrator beside it.
final class Server: @unchecked Sendable {
    let address: String
    private let program = ProcessInfo.processInfo.environment["SHAODAO_SERVER"]!
    private let data: String
    private let process = Process()

    init(_ folder: URL) throws {
        data = folder.appendingPathComponent("server").path
        let said = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = [
            "--data", data, "serve", "--listen", "127.0.0.1:0", "--rehearsal-ms", "\(morning)",
        ]
        // How full this machine's disk is must not decide how a story ends.
        process.environment = [
            "SHAODAO_LOG_LEVEL": "warn", "SHAODAO_EVIDENCE_RESERVE_BYTES": "0",
        ]
        process.standardOutput = said
        try process.run()
        var line = ""
        while !line.hasSuffix("\n") {
            let bytes = said.fileHandleForReading.readData(ofLength: 1)
            guard !bytes.isEmpty else { throw Failed(said: "the server did not start: \(line)") }
            line += String(decoding: bytes, as: UTF8.self)
        }
        let at = line.trimmingCharacters(in: .newlines)
        address = "http://" + at.replacingOccurrences(of: "listening on ", with: "")
    }

    /// An enrolment ticket for somebody.
    func ticket(_ person: String) throws -> String {
        let said = try admin(["ticket", "--person", person])
        let list = try JSONSerialization.jsonObject(with: said) as? [[String: Any]]
        return try XCTUnwrap(list?.first?["ticket"] as? String)
    }

    /// The administrator has compared the check code.
    func confirm(_ checkCode: String) throws {
        _ = try admin(["confirm", checkCode])
    }

    /// Moves the server's clock.
    func setClock(_ now: Int64) async throws {
        var request = URLRequest(url: URL(string: "\(address)/rehearsal/clock")!)
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "content-type")
        request.httpBody = Data("{\"now_ms\":\(now)}".utf8)
        let (_, answer) = try await URLSession.shared.data(for: request)
        XCTAssertEqual((answer as? HTTPURLResponse)?.statusCode, 200)
    }

    /// Accepts connections and answers nothing, until it is woken.
    func freeze() {
        kill(process.processIdentifier, SIGSTOP)
    }

    func wake() {
        kill(process.processIdentifier, SIGCONT)
    }

    func stop() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    private func admin(_ arguments: [String]) throws -> Data {
        let admin = Process()
        let said = Pipe()
        admin.executableURL = URL(fileURLWithPath: program)
        admin.arguments = ["--data", data, "admin", "--json", "--as", "Wen"] + arguments
        admin.standardOutput = said
        try admin.run()
        let answer = said.fileHandleForReading.readDataToEndOfFile()
        admin.waitUntilExit()
        guard admin.terminationStatus == 0 else { throw Failed(said: "admin \(arguments)") }
        return answer
    }
}

/// A phone's clocks, in the hands of a story.
final class Hours: @unchecked Sendable {
    private let lock = NSLock()
    private var at = morning

    var now: Int64 {
        get { lock.withLock { at } }
        set { lock.withLock { at = newValue } }
    }

    var source: TimeFrom {
        TimeFrom { [self] in
            Reading(wallMs: now, sinceBootMs: UInt64(now - morning + 60_000))
        }
    }
}

/// A server, a folder and clocks for one story.
class Story: XCTestCase {
    var folder: URL!
    var server: Server!
    let hours = Hours()

    override func setUp() async throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        server = try Server(folder)
    }

    override func tearDown() async throws {
        server.stop()
        try FileManager.default.removeItem(at: folder)
    }

    /// Opens a phone in a folder of its own.
    func open(_ name: String, key: Data? = nil) async throws -> Phone {
        let path = folder.appendingPathComponent(name).path
        return try await Opening(
            folder: path, unbacked: path + ".unbacked", key: try key ?? newKey(), app: "test 1",
            boot: "boot 1"
        ).open(time: hours.source)
    }

    /// Opens a phone and makes it somebody's.
    func enrolled(_ person: String) async throws -> Phone {
        let phone = try await open(person)
        let pending = try await phone.enrolTyped(
            server: server.address, ticket: try server.ticket(person))
        let early = try await phone.finishEnrolment()
        XCTAssertNil(early, "enrolled before anybody confirmed")
        try server.confirm(pending.checkCode)
        _ = try await phone.finishEnrolment()
        _ = try await phone.sync()
        return phone
    }

    /// Waits until it stands so between a phone and the server.
    func until(
        _ phone: Phone, _ wanted: @Sendable (SyncStatus) -> Bool
    ) async throws {
        for try await status in phone.watch({ try await $0.status() }) where wanted(status) {
            return
        }
    }

    /// The error of a call that has to fail.
    func error(_ call: () async throws -> Void) async throws -> PhoneError {
        do {
            try await call()
        } catch let error as PhoneError {
            return error
        }
        throw Failed(said: "nothing failed")
    }
}
