package shaodao

import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.map

/**
 * "Look again", for as long as it is collected. Says nothing of what changed, is
 * damped by the library, and of several that nobody has looked at yet one is left.
 */
fun Phone.changes(): Flow<Unit> = told { }

/** What a screen shows: read at once, and again whenever something has changed. */
fun <T> Phone.watch(read: suspend Phone.() -> T): Flow<T> =
    // Subscribed first: what changes while it is read for the first time is not missed.
    told { it() }.map { read() }

private fun Phone.told(subscribed: (tell: () -> Unit) -> Unit): Flow<Unit> = callbackFlow {
    val subscription = subscribe(object : ChangeListener {
        override fun lookAgain() {
            Threads.stayAttached()
            trySend(Unit)
        }
    })
    subscribed { trySend(Unit) }
    awaitClose {
        subscription.cancel()
        subscription.close()
    }
}.conflate()

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
