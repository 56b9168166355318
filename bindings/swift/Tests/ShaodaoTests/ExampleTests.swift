import Foundation
import Shaodao
import XCTest

/// The program of the README, run as it stands there.
final class ExampleTests: Story {
    func testTheExampleDoesWhatItSays() throws {
        let program = Process()
        let out = Pipe()
        let tests = URL(fileURLWithPath: CommandLine.arguments[0])
        let built = tests.deletingLastPathComponent()
        program.executableURL = built.appendingPathComponent("Report")
        program.arguments = [
            server.address, try server.ticket(xiao), folder.appendingPathComponent("example").path,
        ]
        program.standardOutput = out
        try program.run()
        var said = ""
        while true {
            let bytes = out.fileHandleForReading.availableData
            if bytes.isEmpty { break }
            said += String(decoding: bytes, as: UTF8.self)
            if said.hasPrefix("Check code: "), said.hasSuffix("\n"), !said.contains("phone") {
                try server.confirm(String(said.dropFirst(12).prefix(6)))
            }
        }
        program.waitUntilExit()
        XCTAssertTrue(said.contains("On this phone: 1") && said.contains("Accepted: 1"), said)
    }
}
