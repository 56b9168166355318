@_exported import ShaodaoGenerated

extension Phone {
    /// "Look again", for as long as somebody iterates over it. Says nothing of what
    /// changed, is damped by the library, and of several that nobody has looked at
    /// yet one is left.
    public func changes() throws -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let subscription = try subscribe(listener: Listener { continuation.yield() })
        continuation.onTermination = { _ in try? subscription.cancel() }
        return stream
    }

    /// What a screen shows: read at once, and again whenever something has changed.
    /// Ends with the error of a read that failed.
    public func watch<Shown: Sendable>(
        _ read: @escaping @Sendable (Phone) async throws -> Shown
    ) -> AsyncThrowingStream<Shown, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let reading = Task {
                do {
                    let changes = try self.changes()
                    continuation.yield(try await read(self))
                    for await _ in changes {
                        continuation.yield(try await read(self))
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in reading.cancel() }
        }
    }

    /// A call that uses the network and ends when its task is cancelled, such as
    /// `phone.untilCancelled { try await $0.sync() }`: a generated call does not hear
    /// of that by itself. Whatever else uses the network then ends with it.
    public func untilCancelled<Done: Sendable>(
        _ call: @Sendable (Phone) async throws -> Done
    ) async throws -> Done {
        try await withTaskCancellationHandler {
            try Task.checkCancellation()
            return try await call(self)
        } onCancel: {
            try? cancel()
        }
    }
}

private final class Listener: ChangeListener {
    private let told: @Sendable () -> Void

    init(_ told: @escaping @Sendable () -> Void) {
        self.told = told
    }

    func lookAgain() {
        told()
    }
}

/// A log sink from a function.
public final class LogTo: LogSink {
    private let write: @Sendable (LogLevel, String) -> Void

    public init(_ write: @escaping @Sendable (LogLevel, String) -> Void) {
        self.write = write
    }

    public func line(level: LogLevel, text: String) {
        write(level, text)
    }
}

/// A source of time from a function, for rehearsals and tests.
public final class TimeFrom: TimeSource {
    private let reading: @Sendable () -> Reading

    public init(_ reading: @escaping @Sendable () -> Reading) {
        self.reading = reading
    }

    public func read() -> Reading {
        reading()
    }
}
