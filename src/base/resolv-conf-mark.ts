/** How the first line of kt's /etc/resolv.conf begins; who sees it without root knows that the file is kt's. */
export const RESOLV_CONF_MARK = '# kt is connected and answers here; `kt down` restores this file. Connection '
