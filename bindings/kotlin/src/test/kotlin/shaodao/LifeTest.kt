package shaodao

import java.lang.management.ManagementFactory
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** What the system does to an app: many threads, no time, no network, no memory. */
class LifeTest {
    @TempDir
    lateinit var folder: Path
    private lateinit var server: Server
    private val hours = Hours()

    @BeforeEach
    fun begin() {
        server = Server(folder)
    }

    @AfterEach
    fun end() = server.close()

    /** A server that hangs: the sync can be left, the phone goes on working meanwhile and afterwards. */
    @Test
    fun `a sync is cancelled`() = runBlocking<Unit> {
        enrolled(server, folder, XIAO, hours).use { phone ->
            phone.report(leak("漏气"))
            server.freeze()
            val sync = launch(Dispatchers.Default) { phone.sync() }
            phone.watch { status() }.first { it.inFlight == 1uL }
            phone.report(leak("又漏气"))
            assertEquals(2uL, phone.findings(FindingFilter()).total)
            sync.cancelAndJoin()
            phone.watch { status() }.first { !it.running }

            val told = async(Dispatchers.Default) { runCatching { phone.sync() } }
            phone.watch { status() }.first { it.running }
            phone.cancel()
            assertEquals("cancelled", (told.await().exceptionOrNull() as PhoneException).kind)
            val late = phone.runBackground(0u, Setting.NOW, Link.WIFI)
            assertFalse(late.finished)

            server.wake()
            phone.sync()
            assertEquals(0uL, phone.status().pending)
            phone.shutdown()
        }
    }

    /** Suspended, the files are closed and calls say so; afterwards everything is there. */
    @Test
    fun `the app goes to the background and comes back`() = runBlocking<Unit> {
        enrolled(server, folder, XIAO, hours).use { phone ->
            phone.report(leak("漏气"))
            phone.suspend()
            val closed = assertThrows(PhoneException.Closed::class.java) {
                runBlocking { phone.findings(FindingFilter()) }
            }
            assertEquals("closed", closed.kind)
            assertEquals(emptyList<String>(), openFiles().filter { "phone.db" in it })
            phone.resume()
            assertEquals(1uL, phone.findings(FindingFilter()).total)
            assertEquals(1uL, phone.runBackground(60u, Setting.NOW, Link.WIFI).synced.accepted)
            assertTrue(phone.storage().databaseBytes > 0uL)
            phone.purge(false)
            phone.shutdown()
            assertThrows(PhoneException.Closed::class.java) { runBlocking { phone.resume() } }
        }
    }

    /** The wrong key opens nothing and changes nothing. */
    @Test
    fun `another key does not open the phone`() = runBlocking<Unit> {
        val key = newKey()
        open(folder, "mine", hours, key).use { it.shutdown() }
        val wrong = assertThrows(PhoneException.Storage::class.java) {
            runBlocking { open(folder, "mine", hours, newKey()) }
        }
        assertEquals("wrong_key", wrong.kind)
        open(folder, "mine", hours, key).use { it.shutdown() }
    }

    /** A thousand calls at once, reads and writes: every one is answered, none is lost. */
    @Test
    fun `a thousand calls at once`() = runBlocking<Unit> {
        enrolled(server, folder, XIAO, hours).use { phone ->
            val before = ManagementFactory.getThreadMXBean().totalStartedThreadCount
            val calls = (1..1_000).map { nth ->
                async(Dispatchers.Default) {
                    when {
                        nth % 10 == 0 -> phone.report(leak("第 $nth 处")).record.length
                        else -> phone.findings(FindingFilter()).rows.size
                    }
                }
            }
            assertEquals(1_000, calls.awaitAll().size)
            assertEquals(0, uniffiContinuationHandleMap.size)
            assertEquals(100uL, phone.findings(FindingFilter()).total)
            // Every call asked the time, and so called back from the library's threads.
            val begun = ManagementFactory.getThreadMXBean().totalStartedThreadCount - before
            assertTrue(begun < 100, "$begun threads for 1,000 callbacks")
            phone.shutdown()
        }
    }

    /** A listener is told on a handful of threads, damped, and not after it has left. */
    @Test
    fun `listeners are told to look again`() = runBlocking<Unit> {
        val threads = ConcurrentHashMap.newKeySet<Long>()
        open(folder, "nobody", hours).use { phone ->
            val reads = timeFrom { Reading(hours.nowMs, 60_000uL).also { threads += Thread.currentThread().id } }
            val opening = Opening("$folder/other", "$folder/other.unbacked", newKey(), "test 1", "boot 1")
            opening.open(reads).use { other ->
                repeat(1_000) { other.status() }
                other.shutdown()
            }
            // Two workers, whatever the number of callbacks.
            assertTrue(threads.size in 1..2, "${threads.size} threads")
            val told = async(Dispatchers.Default) { phone.changes().first() }
            while (!told.isCompleted) phone.change()

            val (heard, left) = AtomicInteger() to AtomicInteger()
            val stays = phone.subscribe(counting(heard))
            phone.subscribe(counting(left)).close()
            val before = left.get()
            repeat(3) {
                val soFar = heard.get()
                while (heard.get() == soFar) phone.change()
            }
            assertEquals(before, left.get())
            stays.close()
            phone.shutdown()
        }
    }

    private suspend fun Phone.change() {
        suspend()
        resume()
    }

    private fun counting(told: AtomicInteger) = object : ChangeListener {
        override fun lookAgain() {
            Threads.stayAttached()
            told.incrementAndGet()
        }
    }

    /** Ten thousand handles opened and closed leave nothing behind. */
    @Test
    fun `nothing leaks`() = runBlocking<Unit> {
        open(folder, "nobody", hours).use { phone ->
            val listener = object : ChangeListener {
                override fun lookAgain() = Unit
            }
            suspend fun openAndClose(times: Int) {
                repeat(times) { phone.subscribe(listener).close() }
                // Until the library has let every listener go.
                while (FfiConverterTypeChangeListener.handleMap.size > 0) phone.mended()
            }
            openAndClose(2_000)
            val (memory, files) = residentMiB() to openFiles().size
            openAndClose(10_000)
            repeat(20) { nth -> open(folder, "phone $nth", hours).use { it.shutdown() } }
            System.gc()
            assertTrue(residentMiB() - memory < 64, "${residentMiB() - memory} MiB more")
            assertEquals(files, openFiles().size)
            phone.shutdown()
        }
    }

    private fun openFiles(): List<String> = Files.list(Path.of("/proc/self/fd")).use { all ->
        all.map { runCatching { Files.readSymbolicLink(it).toString() }.getOrDefault("") }
            .filter { it.startsWith("$folder") }.toList()
    }

    private fun residentMiB(): Long = Files.readAllLines(Path.of("/proc/self/status"))
        .single { it.startsWith("VmRSS:") }.filter(Char::isDigit).toLong() / 1024
}
