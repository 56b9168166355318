package shaodao

import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.onStart

/**
 * "Look again", for as long as it is collected. Says nothing of what changed, is
 * damped by the library, and of several that nobody has looked at yet one is left.
 */
fun Phone.changes(): Flow<Unit> = callbackFlow {
    val subscription = subscribe(object : ChangeListener {
        override fun lookAgain() {
            Threads.stayAttached()
            trySend(Unit)
        }
    })
    awaitClose {
        subscription.cancel()
        subscription.close()
    }
}.conflate()

/** What a screen shows: read at once, and again whenever something has changed. */
fun <T> Phone.watch(read: suspend Phone.() -> T): Flow<T> =
    changes().onStart { emit(Unit) }.map { read() }

/** A log sink from a function. */
fun logTo(line: (LogLevel, String) -> Unit): LogSink = object : LogSink {
    override fun line(level: LogLevel, text: String) {
        Threads.stayAttached()
        line(level, text)
    }
}

/** A source of time from a function, for rehearsals and tests. */
fun timeFrom(read: () -> Reading): TimeSource = object : TimeSource {
    override fun read(): Reading {
        Threads.stayAttached()
        return read()
    }
}
