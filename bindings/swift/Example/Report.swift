import Foundation
import Shaodao

/// `Report SERVER TICKET FOLDER`: enrols a phone, reports a leak, syncs.
@main struct Report {
    static func say(_ text: Any...) {
        FileHandle.standardOutput.write(Data((text.map { "\($0)" }.joined(separator: " ") + "\n").utf8))
    }
    static func main() async throws {
        let (given, folder) = (CommandLine.arguments, CommandLine.arguments[3])
        let phone = try await Opening(
            folder: "\(folder)/phone", unbacked: "\(folder)/unbacked",
            key: try newKey(), app: "example 1", boot: nil  // The Keychain keeps the key.
        ).open()
        do {
            say("Check code:", try await phone.enrolTyped(server: given[1], ticket: given[2]).checkCode)
            while try await phone.finishEnrolment() == nil {
                try await Task.sleep(for: .milliseconds(500))  // Until it is confirmed.
            }
            let here = Place(lat: 25.0420, lon: 102.7065, accuracyM: 8, source: .gps)
            _ = try await phone.report(
                form: Form(title: "北门街燃气泄漏", category: "E0403", severity: 4, place: here))
            say("On this phone:", try await phone.findings(filter: FindingFilter()).total)
            say("Accepted:", try await phone.sync().accepted)
        } catch let error as PhoneError {
            say(error.kind, error.said.text())
        }
        try await phone.shutdown()
    }
}
