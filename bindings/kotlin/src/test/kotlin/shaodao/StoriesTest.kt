package shaodao

import java.io.File
import java.nio.file.Path
import javax.imageio.ImageIO
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

const val XU = "P01006-00" // 徐磊, secretary of 北门 community
const val XIAO = "P01006-01" // 萧桂英, member of grid 001
const val PHOTO = "../photo/scene.png"
const val FONT = "../../.tools/font.ttc"
const val HERE_LAT = 25.0420
const val HERE_LON = 102.7065

fun leak(title: String) = Form(
    title, category = "E0403", severity = 4u, grid = "530102001006001",
    place = Place(HERE_LAT, HERE_LON, 8.0, PositionSource.GPS),
)

/** What people do with their phones, against a real server process. */
class StoriesTest {
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

    /** A wrong ticket, then the right one: nobody is enrolled before a person has compared the code. */
    @Test
    fun `a phone becomes somebody's`() = runBlocking<Unit> {
        open(folder, "xiao", hours).use { phone ->
            assertNull(phone.owner())
            val wrong = assertThrows(PhoneException.Enrolment::class.java) {
                runBlocking { phone.enrolTyped(server.address, "abc") }
            }
            assertEquals("not_a_ticket", wrong.kind)
            assertTrue(wrong.said.zh.contains("登记码"), wrong.said.zh)
            val pending = phone.enrolTyped(server.address, server.ticket(XIAO))
            assertTrue(Regex("\\d{6}").matches(pending.checkCode), pending.checkCode)
            assertEquals(pending, phone.pendingEnrolment())
            assertNull(phone.finishEnrolment())
            server.confirm(pending.checkCode)
            assertEquals("萧桂英", phone.finishEnrolment()?.name)
            val me = phone.me()
            assertEquals(listOf("530102001006001"), me.grids.map { it.code })
            assertTrue(phone.categories("E0403").single().name.isNotEmpty())
            phone.shutdown()
        }
    }

    /** Everything done without a signal is kept, listed, and accepted in the evening. */
    @Test
    fun `a day offline`() = runBlocking<Unit> {
        enrolled(server, folder, XIAO, hours).use { phone ->
            val saved = (1..5).map { nth ->
                hours.nowMs += HOUR_MS
                phone.report(leak("漏气 $nth"))
            }
            phone.correct(saved[0].record, Form(address = "北门街 5 号"))
            val first = phone.findings(FindingFilter(), null, 2u)
            assertEquals(listOf("漏气 5", "漏气 4"), first.rows.map { it.title })
            assertEquals(5uL, first.total)
            val second = phone.findings(FindingFilter(), first.next, 2u)
            assertEquals(listOf("漏气 3", "漏气 2"), second.rows.map { it.title })
            val window = MapWindow(HERE_LAT - 0.001, HERE_LON - 0.001, HERE_LAT + 0.001, HERE_LON + 0.001)
            assertEquals(5uL, phone.findings(FindingFilter(window = window)).total)
            val away = window.copy(south = 30.0, north = 31.0)
            assertEquals(0uL, phone.findings(FindingFilter(window = away)).total)
            assertEquals(1, phone.search("漏气 3", 10u).size)
            assertEquals(6uL, phone.status().pending)

            server.setClock(hours.nowMs)
            assertEquals(6uL, phone.sync().accepted)
            val status = phone.status()
            assertEquals(0uL, status.pending)
            assertNotNull(status.lastContactMs)
            val detail = phone.finding(saved[0].record)
            assertEquals("", detail.row.number) // Nobody has accepted it yet.
            assertEquals(listOf("report", "correct"), detail.timeline.map { it.word }.take(2))
            assertTrue(detail.timeline.all { it.standing == Standing.ACCEPTED })
            assertEquals("北门街 5 号", detail.facts.single { it.name == "address" }.value)
            phone.shutdown()
        }
    }

    /** The whole loop: accepted, blown, answered, verified, concluded, evaluated. */
    @Test
    fun `a whistle goes its way`() = runBlocking<Unit> {
        val xu = enrolled(server, folder, XU, hours)
        val xiao = enrolled(server, folder, XIAO, hours)
        val leak = xiao.report(leak("燃气泄漏")).record
        xiao.sync()
        xu.sync()
        assertEquals(listOf(Question.ACCEPT), xu.todo().map { it.question })
        xu.actOnFinding(leak, FindingAct.Accept)
        val target = "person:$XIAO"
        val call = Call(Form("处理燃气泄漏"), listOf(leak), listOf(Summons(target, true, true)))
        val whistle = xu.blow(call).record
        xu.sync()
        xiao.sync()
        val todo = xiao.todo().single()
        assertEquals(Question.ANSWER, todo.question)
        assertEquals(Light.GREEN, todo.light)
        assertTrue(xiao.whistle(whistle).steps.any { it.word == "sign" && it.party == target })
        val here = Place(HERE_LAT, HERE_LON, 8.0, PositionSource.GPS)
        xiao.actOnWhistle(whistle, WhistleAct.Sign(target))
        xiao.actOnWhistle(whistle, WhistleAct.Arrive(target, 2u, here, null))
        xiao.actOnWhistle(whistle, WhistleAct.Feedback(target, "已关阀"))
        xiao.sync()
        xu.sync()
        xu.actOnWhistle(whistle, WhistleAct.Verify(target, true, "现场已看"))
        xu.actOnWhistle(whistle, WhistleAct.Conclude("已处理"))
        xu.actOnWhistle(whistle, WhistleAct.Evaluate(target, 5u, "很快"))
        xu.sync()
        xiao.sync()
        val detail = xiao.whistle(whistle)
        assertEquals(WhistleStage.EVALUATED, detail.row.stage)
        assertEquals(2u, detail.targets.single().heads)
        assertEquals(FindingStage.CLOSED, xiao.finding(leak).row.stage)
        assertTrue(xiao.finding(leak).row.number.isNotEmpty())
        val year = xu.statistics(MORNING_MS - HOUR_MS, MORNING_MS + HOUR_MS, null, Grouping.STREET)
        assertEquals(1uL, year.groups.single().concluded)
        listOf(xu, xiao).forEach { it.shutdown(); it.close() }
    }

    /** Two people correct one title without knowing of each other: both values stay until somebody decides. */
    @Test
    fun `a conflict is shown and decided`() = runBlocking<Unit> {
        val xu = enrolled(server, folder, XU, hours)
        val xiao = enrolled(server, folder, XIAO, hours)
        val finding = xiao.report(leak("漏气")).record
        xiao.sync()
        xu.sync()
        xiao.correct(finding, Form("北门街漏气"))
        xu.correct(finding, Form("小西门漏气"))
        xiao.sync()
        xu.sync()
        xiao.sync()
        val title = xiao.finding(finding).facts.single { it.name == "title" }
        assertEquals(setOf("北门街漏气", "小西门漏气"), (title.others + title.value).toSet())
        assertEquals(1u, xiao.findings(FindingFilter(conflicts = true)).rows.single().conflicts)
        xiao.correct(finding, Form("北门街 5 号漏气"))
        xiao.sync()
        xu.sync()
        val decided = xu.finding(finding).facts.single { it.name == "title" }
        assertEquals("北门街 5 号漏气", decided.value)
        assertEquals(emptyList<String>(), decided.others)
        listOf(xu, xiao).forEach { it.shutdown(); it.close() }
    }

    /** A photo travels by path, sealed on the way, and somebody else sees the same one. */
    @Test
    fun `a photo is attached, sent and seen`() = runBlocking<Unit> {
        val xu = enrolled(server, folder, XU, hours)
        val xiao = enrolled(server, folder, XIAO, hours)
        val finding = xiao.report(leak("漏气")).record
        val none = assertThrows(PhoneException.Input::class.java) {
            runBlocking { xiao.attach(finding, listOf(Attachment("$folder/none.png", Shows.SCENE))) }
        }
        assertEquals("path", none.field)
        xiao.attach(finding, listOf(Attachment(PHOTO, Shows.SCENE)))
        val here = xiao.finding(finding).evidence.single()
        assertEquals(Arrival.ON_PHONE, here.arrival)
        assertTrue(here.originalHere && here.thumbnailHere)
        assertTrue(xiao.storage().evidenceBytes > here.sizeBytes)
        xiao.sync()
        assertEquals(0uL, xiao.sendEvidence(Setting.WIFI, Link.MOBILE).originals)
        assertEquals(1uL to 0uL, xiao.status().let { it.evidence to it.evidenceArrived })
        val sent = xiao.sendEvidence(Setting.WIFI, Link.WIFI)
        assertEquals(1uL, sent.originals, "$sent")
        xiao.sync()
        assertEquals(0uL, xiao.status().evidence)
        assertEquals(Arrival.AT_SERVER, xiao.finding(finding).evidence.single().arrival)
        xu.sync()
        val seen = xu.finding(finding).evidence.single()
        assertEquals(here.piece, seen.piece)
        assertEquals(Arrival.AT_SERVER, seen.arrival)
        assertNotNull(xu.thumbnail(finding, seen.piece))
        xu.saveEvidence(finding, seen.piece, "$folder/seen.png")
        assertArrayEquals(File(PHOTO).readBytes(), File("$folder/seen.png").readBytes())
        xu.savePicture(finding, seen.piece, "$folder/shown")
        val shown = ImageIO.read(File("$folder/shown"))
        xu.saveWatermarked(finding, seen.piece, FONT, "$folder/stamped")
        assertTrue(ImageIO.read(File("$folder/stamped")).height > shown.height)
        val odd = assertThrows(PhoneException.Input::class.java) {
            runBlocking { xu.saveWatermarked(finding, seen.piece, PHOTO, "$folder/stamped") }
        }
        assertEquals("font" to "not_a_font", odd.field to odd.said.code)
        listOf(xu, xiao).forEach { it.shutdown(); it.close() }
    }

    /**
     * The system gives the app a second while the server hangs, then a minute without Wi-Fi, then one
     * with it: nothing is lost, and the photo waits for the connection that its owner wants.
     */
    @Test
    fun `what happens in the background`() = runBlocking<Unit> {
        enrolled(server, folder, XIAO, hours).use { phone ->
            val finding = phone.report(leak("漏气")).record
            phone.attach(finding, listOf(Attachment(PHOTO, Shows.SCENE)))
            server.freeze()
            // A sync that hangs holds the network; waiting for it counts, too.
            val hanging = async(Dispatchers.Default) { runCatching { phone.sync() } }
            phone.watch { status() }.first { it.inFlight == 2uL }
            val cut = phone.runBackground(1u, Setting.WIFI, Link.WIFI)
            assertFalse(cut.finished)
            assertEquals(0uL to 0uL, cut.synced.accepted to cut.sent.originals)
            phone.cancel()
            assertTrue(hanging.await().isFailure)
            assertEquals(2uL, phone.status().pending)
            server.wake()

            val onTheRoad = phone.runBackground(60u, Setting.WIFI, Link.MOBILE)
            assertTrue(onTheRoad.finished)
            assertEquals(2uL, onTheRoad.synced.accepted)
            assertEquals(1uL to 0uL, onTheRoad.sent.thumbnails to onTheRoad.sent.originals)
            assertEquals(Arrival.ON_PHONE, phone.finding(finding).evidence.single().arrival)

            val atHome = phone.runBackground(60u, Setting.WIFI, Link.WIFI)
            assertEquals(0uL to 1uL, atHome.sent.thumbnails to atHome.sent.originals)
            assertEquals(Arrival.AT_SERVER, phone.finding(finding).evidence.single().arrival)
            val nothingLeft = phone.runBackground(60u, Setting.NOW, Link.WIFI)
            assertEquals(0uL, nothingLeft.sent.bytesUp)
            phone.shutdown()
        }
    }

    /** What is not possible is refused at once; what has become impossible comes back with a reason. */
    @Test
    fun `a refusal says why`() = runBlocking<Unit> {
        val xu = enrolled(server, folder, XU, hours)
        val xiao = enrolled(server, folder, XIAO, hours)
        val finding = xiao.report(leak("漏气")).record
        val refused = assertThrows(PhoneException.Refused::class.java) {
            runBlocking { xiao.actOnFinding(finding, FindingAct.Accept) }
        }
        assertEquals("not_your_role", refused.kind)
        assertEquals("accept", refused.action)
        assertEquals("reported", refused.stage)
        assertTrue(refused.said.zh.startsWith("不能受理"), refused.said.zh)
        val unknown = assertThrows(PhoneException.Input::class.java) {
            runBlocking { xiao.finding("not an id") }
        }
        assertEquals("record", unknown.field)

        xiao.sync()
        xu.sync()
        xu.actOnFinding(finding, FindingAct.Accept)
        xu.sync()
        hours.nowMs += HOUR_MS
        server.setClock(hours.nowMs)
        xiao.actOnFinding(finding, FindingAct.Withdraw("报错了"))
        assertEquals(1uL, xiao.sync().troubles)
        val trouble = xiao.status().refused.single()
        assertEquals("withdraw", trouble.word)
        assertEquals("报错了", trouble.text)
        assertEquals(Standing.LATE, trouble.standing)
        assertEquals("already_decided", trouble.reason?.code)
        assertTrue(trouble.whoCanHelp.zh.isNotEmpty())
        assertEquals(FindingStage.ACCEPTED, xiao.finding(finding).row.stage)
        listOf(xu, xiao).forEach { it.shutdown(); it.close() }
    }
}
