import ShaodaoGenerated

extension Opening {
    /// Opens the phone that lives there, or makes a new one: where an app begins.
    public func open(
        time: (any TimeSource)? = nil, log: (any LogSink)? = nil
    ) async throws -> Phone {
        try await openPhone(opening: self, time: time, log: log)
    }
}
