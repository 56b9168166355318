package shaodao

import com.sun.jna.CallbackThreadInitializer
import com.sun.jna.Native

/** Opens the phone that lives there, or makes a new one: where an app begins. */
suspend fun Opening.open(time: TimeSource? = null, log: LogSink? = null): Phone {
    Threads.stay()
    return openPhone(this, time, log)
}

/**
 * The library's own threads, once known to the virtual machine, stay known. Without
 * it JNA lets a thread go after every callback and makes a new one for the next, and
 * every call of a suspending function ends in a callback.
 */
internal object Threads {
    init {
        val stays = CallbackThreadInitializer(true, false, "shaodao")
        Native.setCallbackThreadInitializer(uniffiRustFutureContinuationCallbackImpl, stays)
    }

    /** Makes sure of it for calls that have begun. */
    fun stay() = Unit

    /** Makes sure of it for the thread of a callback. */
    fun stayAttached() = Native.detach(false)
}
