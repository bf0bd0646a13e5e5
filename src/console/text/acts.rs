//! Texts of signing in, of the help page, of what an act came to, and of what went wrong.

use super::texts;

texts! { Enter {
    title: "Sign in", "登录";
    how: "You sign in with a one-time link. Ask somebody who runs Mozhao for one; they make it with this command:", "请使用一次性链接登录。可请运维人员用以下命令生成：";
    other_way: "Or with a one-time link", "或使用一次性链接";
    other_how: "Somebody who runs Mozhao makes one for you with this command:", "可请运维人员用以下命令为您生成：";
    name: "Name", "用户名";
    password: "Password", "密码";
    wrong: "There is nobody of this name with this password.", "用户名或密码不正确。";
    sso: "Sign in with your organisation", "使用组织账号登录";
    sso_state: "This sign-in was not begun in this browser, or it took too long. Begin again.", "此登录并非在本浏览器中发起，或已超时，请重新登录。";
    sso_refused: "The identity provider did not let you in. Begin again; if it stays so, tell those who run Mozhao.", "身份提供方未允许登录。请重试；若仍失败，请联系 Mozhao 运维人员。";
    sso_roles: "The identity provider knows you, but gives you no role here. Those who look after its groups can change that.", "身份提供方已识别您，但未授予此处的任何角色；可请其管理员调整。";
    sso_name: "The identity provider knows you, but the name that it gives you cannot be used here.", "身份提供方已识别您，但其提供的名称无法在此使用。";
    sso_unavailable: "The identity provider does not answer. Try again in a moment.", "身份提供方未响应，请稍后重试。";
    wait: "Too many tries. The next one is looked at in {}.", "尝试次数过多，请在 {} 后再试。";
    lasts: "A session ends after {} hours without use, and after {} hours in any case.", "会话在 {} 小时无操作后结束，最长 {} 小时。";
    about_to: "You are about to sign in as", "即将登录为";
    with_roles: "with the roles", "角色";
    button: "Sign in", "登录";
    signed_out: "You are signed out", "您已退出登录";
    signed_out_text: "Your session had ended before this was sent. Nothing was done. What you wrote is kept on this page only.", "提交之前会话已结束，未执行任何操作。您填写的内容仅保留在本页。";
    lost: "Your session had ended. What you sent was not done; sign in and send it again.", "会话已结束，您的提交未执行；请登录后重新提交。";
    sign_in_beside: "Sign in, in a new tab", "在新标签页中登录";
    put_back_text: "Then come back to this tab: this fills in the review's form again, and decides nothing.", "登录后回到本标签页：以下按钮会重新填入复核表单，不会作出任何决定。";
    put_back: "Put it back into the review", "重新填入复核页面";
    copy_it: "Copy it before you leave this page.", "离开本页前请先复制。";
    once: "The link is good once. Nobody else can use it afterwards.", "该链接仅可使用一次，之后任何人都无法再用。";
    gone: "This link does not let anybody in any more", "该链接已失效";
    gone_text: "It was used, it was revoked, or its time is over. Ask for a new one.", "链接已被使用、已被撤销或已过期。请重新申请。";
} }

texts! { Help {
    title: "Help", "帮助";
    keys: "Keys", "快捷键";
    keys_text: "Single keys work outside of fields, and not while an input method composes. They can be switched off in the settings.", "单键快捷键仅在输入框之外有效，输入法组词时不会触发；可在设置中关闭。";
    key_help: "This page", "打开本页";
    key_search: "Search", "搜索";
    key_move: "Next, previous row", "下一行、上一行";
    key_open: "Open the row", "打开该行";
    key_claim: "Claim", "领取";
    key_approve: "Choose approve", "选择通过";
    key_refuse: "Choose refuse", "选择拒绝";
    key_next: "Take the next one", "领取下一项";
    key_snooze: "Put a review aside", "暂缓复核";
    key_undo: "Take the last decision back", "撤回上一个决定";
    key_send: "Send the form", "提交表单";
    words: "Words", "术语";
    word_request: "what a customer asked for, handled by a process from acceptance to exactly one outcome", "客户提出的事项；由流程处理，从受理到唯一的结果";
    word_review: "one question put to a person, with its options, evidence and deadline", "提交给人的一个问题，附选项、证据与时限";
    clause: "Clause", "条款";
    word_clause: "the written rule that a verdict rests on", "结论所依据的书面规则";
    word_parked: "waiting for a dependency or a defect, not for a person's judgement", "因依赖或缺陷而搁置，并非等待人的判断";
    word_defect: "a group of technical failures with one fingerprint", "指纹相同的一组技术故障";
    word_dependency: "the remote system behind a connector, with its breaker", "连接器背后的远端系统及其熔断器";
    word_ledger: "the ordered, chained record of everything that happened to a request", "请求所有经过的有序、链式记录";
} }

texts! { Told {
    signed_in: "You are signed in.", "已登录。";
    saved: "Saved.", "已保存。";
    claimed: "It is yours for 15 minutes; every act renews the claim.", "已领取，15 分钟内有效；操作会续期。";
    released: "Given back.", "已退回。";
    decided: "Decided, and applied.", "决定已生效。";
    held: "Decided. It takes effect in a few seconds.", "已决定，几秒后生效。";
    undo: "Take it back", "撤回决定";
    undone: "Taken back: nothing has happened. It is still yours.", "决定已撤回，未产生任何影响，仍由您处理。";
    snoozed: "Put aside. It comes back at its time, or when something arrives.", "已暂缓，到时或有新消息时会重新出现。";
    woken: "Taken up again.", "已恢复处理。";
    pending: "Stored. It takes effect as soon as the request's worker sees it.", "已保存，待处理该请求的工作进程读取后生效。";
    second_needed: "Kept. A second person must come to the same decision.", "已保存，需另一人作出相同决定。";
    escalated: "Escalated, and given back.", "已升级并退回。";
    noted: "Noted in the ledger.", "备注已写入账簿。";
    withdrawn: "Withdrawn.", "已撤回。";
    retried: "It is tried again now.", "正在重试。";
    moved: "A person is asked.", "已转人工复核。";
    resumed: "Resuming: one request goes first.", "开始恢复：先放行一个请求。";
    tripped: "Stopped. Requests that need it are parked.", "已停用，相关请求会被搁置。";
    reset: "Let through again. What is parked comes back, one first.", "已恢复调用，搁置的请求将先放行一个。";
    nothing_left: "Nothing unassigned is left for you.", "没有可领取的复核了。";
    set_aside: "The first person decided otherwise. Both decisions are in the record, and two people must decide anew.", "首次决定与您的不同。两个决定均已记录，需由两人重新决定。";
    too_late: "Somebody was faster. This is how it is now.", "他人已先处理，以下为最新状态。";
} }

texts! { Trouble {
    not_found: "Not found", "未找到";
    not_found_text: "There is no such page or thing, or it belongs to a process that you do not look after.", "页面或内容不存在，或属于您无权查看的流程。";
    not_allowed: "Not for your roles", "权限不足";
    not_allowed_text: "Your roles do not allow this. Whoever made your sign-in link can give you others.", "您的角色无权执行此操作；可请发放登录链接的人调整。";
    bad_form: "The form cannot be read", "无法读取表单";
    bad_form_text: "Go back, look at what you entered, and send it again.", "请返回检查输入后重新提交。";
    foreign: "This form was not sent from your session", "表单不属于当前会话";
    foreign_text: "You signed in anew meanwhile, or the form came from another site. Nothing was done; go back, reload the page, and send it again.", "您可能已重新登录，或表单来自其他站点。未执行任何操作；请返回并刷新页面后重试。";
    foreign_kept: "You signed in anew meanwhile, or the form came from another site. Nothing was done. What you wrote is kept on this page only.", "您可能已重新登录，或表单来自其他站点。未执行任何操作。您填写的内容仅保留在本页。";
    unavailable: "Not available at the moment", "暂不可用";
    unavailable_text: "The database does not answer. Nothing was lost; try again in a moment.", "数据库未响应。数据没有丢失，请稍后重试。";
    internal: "Something went wrong on our side", "系统出错";
    internal_text: "The cause is in the log. Nothing that is stored is lost.", "原因已记录在日志中，已保存的数据不会丢失。";
    refused: "Not done", "未执行";
    refused_text: "It was refused, and nothing was changed:", "请求被拒绝，未作任何更改：";
    request_id: "Name this id when you ask for help:", "寻求帮助时请提供此编号：";
    home: "To the start", "返回首页";
    again: "Try again", "重试";
    back: "Back to where you were", "返回上一页";
} }
