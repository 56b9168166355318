import Foundation
import Shaodao

private let rounds = 301

/// `Bench FOLDER`: prints the milliseconds of four screens of the phone that the Kotlin
/// bench made there.
@main struct Bench {
    static func main() async throws {
        let folder = CommandLine.arguments[1]
        let key = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/key"))
        let phone = try await Opening(
            folder: "\(folder)/phone", unbacked: "\(folder)/unbacked", key: key, app: "bench 1",
            boot: nil
        ).open()
        let first = try await phone.findings(filter: FindingFilter()).rows[0].record
        let times = [
            try await median(rounds) {
                let page = try await phone.findings(filter: FindingFilter())
                precondition(page.rows.count == 50)
            },
            try await median(rounds) {
                let page = try await phone.finding(finding: first)
                precondition(page.row.record == first)
            },
            try await median(rounds) {
                let page = try await phone.whistles(filter: WhistleFilter())
                precondition(page.rows.count == 50)
            },
            try await median(rounds / 100) {
                let todo = try await phone.todo()
                precondition(!todo.isEmpty)
            },
        ]
        print("Swift", times.map { String(format: "%.3f", $0) }.joined(separator: " "))
        try await phone.shutdown()
    }

    private static func median(
        _ rounds: Int, _ once: @Sendable () async throws -> Void
    ) async throws -> Double {
        var taken: [Duration] = []
        for _ in 0..<rounds {
            taken.append(try await ContinuousClock().measure { try await once() })
        }
        let middle = taken.sorted()[rounds / 2].components
        return Double(middle.seconds) * 1e3 + Double(middle.attoseconds) / 1e15
    }
}
